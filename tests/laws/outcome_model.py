"""Outcome state as plain Python has it: lists of all rows, asked anew each time."""

from dataclasses import dataclass, field

PANES = 60


@dataclass
class RateOfRows:
    rows: int
    at_least: float
    hits: list[bool] = field(default_factory=list)

    def take(self, time_ms: int, number: float) -> float:
        self.hits.append(number >= self.at_least)
        last = self.hits[-self.rows :]
        return sum(last) / len(last)


@dataclass
class RateOfSpan:
    span_ms: int
    at_least: float
    taken: list[tuple[int, bool]] = field(default_factory=list)
    newest: int = 0

    def take(self, time_ms: int, number: float) -> float:
        pane = time_ms // max(1, -(-self.span_ms // PANES))
        self.newest = max(self.newest, pane)
        self.taken.append((pane, number >= self.at_least))
        inside = [hit for pane, hit in self.taken if pane > self.newest - PANES]
        self.taken = [(pane, hit) for pane, hit in self.taken if pane > self.newest - PANES]
        return sum(inside) / len(inside) if inside else 0.0


@dataclass
class Drift:
    rows: int
    half_life_ms: int
    numbers: list[tuple[int, float]] = field(default_factory=list)

    def take(self, time_ms: int, number: float) -> float:
        self.numbers.append((time_ms, number))
        if len(self.numbers) <= self.rows:
            return 0.0
        recent = usual = sum(number for _, number in self.numbers[: self.rows]) / self.rows
        last_ms = max(time_ms for time_ms, _ in self.numbers[: self.rows])
        for at_ms, value in self.numbers[self.rows :]:
            recent += (value - recent) * 2 / (self.rows + 1)
            usual += (value - usual) * (1 - 2 ** (-max(0, at_ms - last_ms) / self.half_life_ms))
            last_ms = max(last_ms, at_ms)
        return recent / usual - 1 if usual else 0.0
