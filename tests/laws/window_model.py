"""Windows as design section 4 words them: a list, sorted and searched anew for every question."""

import math
from dataclasses import dataclass, field

SCALE = 100.0


@dataclass(frozen=True)
class Event:
    time_ms: int
    key: int
    units: int
    weight: float
    partition: int = 0
    offset: int = 0


@dataclass
class Entity:
    """All keys of one entity. `windows`: name -> (aggregate, field, span, delay, half-life), in ms."""

    windows: dict
    lateness_ms: int
    keep_ms: int
    shared: bool = False
    late: int = 0
    seen: dict = field(default_factory=dict)
    newest_ms: dict = field(default_factory=dict)
    hits: dict = field(default_factory=dict)

    def apply(self, event: Event) -> dict:
        """The event's own features, itself included; then it belongs to the set, unless it is too late."""
        newest_ms = max(self.newest_ms.get(event.key, event.time_ms), event.time_ms)
        bound_ms = self.keep_ms if self.shared else self.lateness_ms
        late = event.time_ms < newest_ms - bound_ms
        entries = [*self.seen.setdefault(event.key, []), event]
        known = [e for e in entries if e.time_ms > newest_ms - self.keep_ms]
        if event.time_ms <= newest_ms - self.keep_ms:
            known = [event]
        known.sort(key=lambda e: (e.time_ms, e.partition, e.offset))
        answers = {name: self.answer(window, event, known) for name, window in self.windows.items()}
        self.late += late
        if not late:
            self.seen[event.key] = entries
            self.newest_ms[event.key] = newest_ms
        return answers

    def label(self, key: int, identity: int, time_ms: int, hit: bool) -> None:
        self.hits[(key, identity, time_ms)] = hit

    def answer(self, window: tuple, event: Event, known: list) -> float:
        aggregate, name, span_ms, delay_ms, half_life_ms = window
        after_ms, until_ms = event.time_ms - delay_ms - span_ms, event.time_ms - delay_ms
        inside = [e for e in known if after_ms < e.time_ms <= until_ms]
        if aggregate == "time_since_last":
            others = inside if delay_ms else inside[:-1]
            return (event.time_ms - others[-1].time_ms) / 1000 if others else -1.0
        if not inside:
            return 0.0
        if aggregate == "count":
            return float(len(inside))
        if aggregate == "risk":
            own = [at_ms for (key, _, at_ms), hit in self.hits.items() if hit and key == event.key]
            hits = sum(after_ms < at_ms <= until_ms for at_ms in own)
            return min(hits, len(inside)) / len(inside)
        if name == "amount" and aggregate in ("sum", "mean"):
            total = sum(e.units for e in inside) / SCALE
            return total if aggregate == "sum" else total / len(inside)
        values = [e.units / SCALE if name == "amount" else e.weight for e in inside]
        if aggregate == "delta":
            return values[-1] - values[-2] if len(values) > 1 else 0.0
        if aggregate == "ewma":
            weights = [0.5 ** ((inside[-1].time_ms - e.time_ms) / half_life_ms) for e in inside]
            return added([w * v for w, v in zip(weights, values, strict=True)]) / added(weights)
        return plain(aggregate, values)


def added(values: list) -> float:
    """From left to right: Python's own sum compensates for rounding since 3.12."""
    total = 0.0
    for value in values:
        total += value
    return total


def plain(aggregate: str, values: list) -> float:
    mean = added(values) / len(values)
    return {
        "sum": lambda: added(values),
        "mean": lambda: mean,
        "min": lambda: min(values),
        "max": lambda: max(values),
        "std": lambda: math.sqrt(added([(v - mean) * (v - mean) for v in values]) / len(values)),
    }[aggregate]()
