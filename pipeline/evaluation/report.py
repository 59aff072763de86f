"""What an evaluation found, as data: what the page, the terminal and `--json` show."""

import math

import msgspec

REPORT_VERSION = 1


class Figure(msgspec.Struct, frozen=True):
    """One number of both sides and their difference, with a 95 % interval.

    `change` is B - A, or with `relative` B / A - 1. Numbers that the data does not give are None. `group` is
    quality, decisions, latency, cost or goodput; `unit` one of share, ms, µs, a currency, or nothing.
    """

    name: str
    group: str
    title: str
    unit: str
    a: float | None
    b: float | None
    change: float | None
    low: float | None
    high: float | None
    relative: bool
    better: str
    verdict: str


class SideReport(msgspec.Struct, frozen=True):
    """One configuration: who answers in it, how often each did in the replay, and how events ended in the rounds."""

    letter: str
    title: str
    source: str
    tiers: list[str]
    answered: dict[str, int]
    replay_cpu_us: list[float]
    outcomes: dict[str, int]
    by_tier: dict[str, int]
    confusion: dict[str, dict[str, int]]
    curve: list[tuple[float, float]]
    tail_ms: list[tuple[float, float]]
    round_cpu_us: list[float]


class Changed(msgspec.Struct, frozen=True):
    """An event that B decides otherwise."""

    id: str
    time_ms: int
    key: str
    a: str
    b: str
    score_a: float | None
    score_b: float | None
    positive: bool | None


class Agreement(msgspec.Struct, frozen=True):
    """How alike the sides decide: counts by decision of A and then of B, and how alike they score."""

    both: int
    only_a: int
    only_b: int
    flips: dict[str, dict[str, int]]
    flipped: int
    rank_correlation: float | None
    score_gap_p50: float | None
    score_gap_p99: float | None
    changed: list[Changed]


class Report(msgspec.Struct, frozen=True):
    """Everything. `made_ms` is when; `settings` are the options in force, `differing` keys with both values."""

    v: int
    made_ms: int
    pipeline: str
    a: SideReport
    b: SideReport
    differing: list[tuple[str, str, str]]
    settings: dict[str, str]
    recording: dict[str, str]
    figures: list[Figure]
    agreement: Agreement
    notes: list[str]

    def encode(self) -> bytes:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    def figure(self, name: str) -> Figure | None:
        """The one of this name, where it was measured."""
        return next((figure for figure in self.figures if figure.name == name), None)


def told(value: float) -> float | None:
    """A number as JSON has it: none where there is none."""
    return float(value) if math.isfinite(value) else None
