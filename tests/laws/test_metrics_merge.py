"""Metrics merge by addition: in any order and grouping, nothing lost."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire.metrics import MetricsRecord, merged

COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))
SPARSE = st.dictionaries(st.integers(0, 5), st.integers(1, 9))
NUMBER = st.integers(0, 9)


@st.composite
def records(draw: st.DrawFn) -> MetricsRecord:
    from_ms = draw(NUMBER)
    return MetricsRecord(
        pipeline="p",
        instance=draw(st.sampled_from("xy")),
        from_ms=from_ms,
        to_ms=from_ms + draw(NUMBER),
        outcomes=draw(COUNTS),
        delivered=draw(NUMBER),
        dead_letters=draw(NUMBER),
        dead_letter_codes=draw(COUNTS),
        deadline_misses=draw(NUMBER),
        late=draw(NUMBER),
        batch_rows=draw(SPARSE),
        tiers=draw(COUNTS),
        in_time=draw(COUNTS),
        overdue=draw(COUNTS),
        histograms=draw(st.dictionaries(st.sampled_from(["total", "age"]), SPARSE)),
        counts=draw(COUNTS),
        ended=draw(st.booleans()),
    )


@given(records(), records(), records())
def test_order_and_grouping_do_not_matter(a: MetricsRecord, b: MetricsRecord, c: MetricsRecord) -> None:
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(records(), records())
def test_every_count_is_the_sum(a: MetricsRecord, b: MetricsRecord) -> None:
    both = merged(a, b)
    for name in ("delivered", "dead_letters", "deadline_misses", "late"):
        assert getattr(both, name) == getattr(a, name) + getattr(b, name)
    for name in ("outcomes", "dead_letter_codes", "batch_rows", "tiers", "counts"):
        left, right = getattr(a, name), getattr(b, name)
        wanted = {key: left.get(key, 0) + right.get(key, 0) for key in {*left, *right}}
        assert getattr(both, name) == wanted
    assert sum(sum(sparse.values()) for sparse in both.histograms.values()) == sum(
        sum(sparse.values()) for record in (a, b) for sparse in record.histograms.values()
    )


def test_levels_are_as_last_seen_not_sums() -> None:
    def at(to_ms: int, **lag: int) -> MetricsRecord:
        levels = {name: value / 2 for name, value in lag.items()}
        return MetricsRecord(pipeline="p", instance="x", from_ms=0, to_ms=to_ms, lag=lag, levels=levels)

    for both in (merged(at(2, a=7), at(1, a=3, b=4)), merged(at(1, a=3, b=4), at(2, a=7))):
        assert both.lag == {"a": 7, "b": 4}
        assert both.levels == {"a": 3.5, "b": 2}
