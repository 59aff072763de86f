"""What a metric of `/metrics` is: its name, unit, labels and meaning, and where it comes from in a metrics record."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.wire.metrics import MetricsRecord

Samples = Iterator[tuple[tuple[str, ...], float]]
US_PER_S, MS_PER_S = 1_000_000, 1_000


@dataclass(frozen=True, slots=True)
class Family:
    """One metric; `read` gives its samples, each with the values of `labels`. A counter's name lacks `_total`."""

    name: str
    unit: str
    labels: tuple[str, ...]
    says: str
    read: Callable[[MetricsRecord], Samples]


def one(value: Callable[[MetricsRecord], float]) -> Callable[[MetricsRecord], Samples]:
    """The one sample of a metric without labels."""

    def read(record: MetricsRecord) -> Samples:
        yield (), value(record)

    return read


def each(table: Callable[[MetricsRecord], Mapping[str, float]]) -> Callable[[MetricsRecord], Samples]:
    """A sample for each name of a table, which is the label."""

    def read(record: MetricsRecord) -> Samples:
        for name, value in table(record).items():
            yield (name,), value

    return read


def count(name: str, divisor: float = 1) -> Callable[[MetricsRecord], Samples]:
    """A count of that name, where it is counted at all."""

    def read(record: MetricsRecord) -> Samples:
        if name in record.counts:
            yield (), record.counts[name] / divisor

    return read


def counts_of(name: str, divisor: float = 1) -> Callable[[MetricsRecord], Samples]:
    """Counts named `name/label`."""
    return lambda record: _below(record.counts, name, 1, divisor)


def level(name: str, divisor: float = 1) -> Callable[[MetricsRecord], Samples]:
    """A level of that name, where there is one."""

    def read(record: MetricsRecord) -> Samples:
        if name in record.levels:
            yield (), record.levels[name] / divisor

    return read


def levels_of(name: str, labels: int = 1, divisor: float = 1) -> Callable[[MetricsRecord], Samples]:
    """Levels named `name/label` or `name/label/label`."""
    return lambda record: _below(record.levels, name, labels, divisor)


def _below(table: Mapping[str, float], name: str, labels: int, divisor: float) -> Samples:
    for key, value in table.items():
        head, _, rest = key.partition("/")
        if head == name and rest:
            yield tuple(rest.rsplit("/", labels - 1)), value / divisor
