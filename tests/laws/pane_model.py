"""Panes as features/panes.py words them: every event in a list, cut at pane borders anew for every question."""

from dataclasses import dataclass, field

from window_model import SCALE, Event


@dataclass
class PanedEntity:
    """All keys of one paned entity. `windows`: name -> (aggregate, field, span, delay), in ms.

    `kept_ms` is what the ring spans: up to the end of the newest event's pane.
    """

    windows: dict
    width_ms: int
    kept_ms: int
    late: int = 0
    seen: dict = field(default_factory=dict)

    def apply(self, event: Event) -> dict:
        """The event joins unless it is older than the ring; then it asks."""
        seen = self.seen.setdefault(event.key, [])
        if self.kept(event):
            seen.append(event)
        else:
            self.late += 1
        return self.ask(event)

    def ask(self, event: Event) -> dict:
        known = [e for e in self.seen[event.key] if self.kept(e)] if self.kept(event) else [event]
        return {name: self.answer(window, event, known) for name, window in self.windows.items()}

    def kept(self, event: Event) -> bool:
        newest_ms = max((e.time_ms for e in self.seen[event.key]), default=event.time_ms)
        return event.time_ms >= self.border_ms(newest_ms) + self.width_ms - self.kept_ms

    def border_ms(self, time_ms: int) -> int:
        """The last border up to a time."""
        return time_ms - time_ms % self.width_ms

    def answer(self, window: tuple, event: Event, known: list) -> float:
        aggregate, name, span_ms, delay_ms = window
        until_ms = self.border_ms(event.time_ms)
        until_ms = until_ms - delay_ms if delay_ms else until_ms + self.width_ms
        inside = [e for e in known if until_ms - span_ms <= e.time_ms < until_ms]
        if not inside:
            return 0.0
        if aggregate == "count":
            return float(len(inside))
        if aggregate in ("sum", "mean"):
            total = sum(e.units for e in inside) / SCALE
            return total if aggregate == "sum" else total / len(inside)
        values = [e.units / SCALE if name == "amount" else e.weight for e in inside]
        return min(values) if aggregate == "min" else max(values)
