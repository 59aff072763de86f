"""Windows and burn rates hold for whatever arrives in whatever order."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pipeline.slo.burn import BurnRules, Pair, SloBurn
from pipeline.slo.windows import STEPS, WindowCounts

SPANS = st.one_of(st.integers(1, 5000), st.integers(1, 400).map(lambda n: n * STEPS))
EVENT = st.tuples(st.integers(0, 20_000), st.integers(0, 50), st.integers(0, 50))
EVENTS = st.lists(EVENT, max_size=40)


@given(SPANS, EVENTS, st.integers(0, 10_000))
def test_a_window_holds_what_happened_in_it_give_or_take_a_step(
    span_ms: int, events: list[tuple[int, int, int]], later_ms: int
) -> None:
    window = WindowCounts(span_ms)
    now_ms = max((at for at, *_ in events), default=0) + later_ms
    for event in sorted(events):
        window.add(*event)
    begin_ms = (now_ms - span_ms) // window.step_ms * window.step_ms
    held = [event for event in events if event[0] >= begin_ms]
    assert window.counts(now_ms) == (sum(good for _, good, _ in held), sum(bad for *_, bad in held))
    assert now_ms - begin_ms < span_ms + window.step_ms


@given(SPANS, EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    span_ms: int, events: list[tuple[int, int, int]], random: object
) -> None:
    one, other = WindowCounts(span_ms), WindowCounts(span_ms)
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for a, b in zip(events, shuffled, strict=True):
        one.add(*a)
        other.add(*b)
    now_ms = max((at for at, *_ in events), default=0)
    assert one.counts(now_ms) == other.counts(now_ms)


@given(SPANS, EVENTS)
def test_a_window_is_made_again_from_its_steps(span_ms: int, events: list[tuple[int, int, int]]) -> None:
    window, again = WindowCounts(span_ms), WindowCounts(span_ms)
    for event in events:
        window.add(*event)
    steps = window.steps()
    assert len(steps) <= max(STEPS, span_ms // window.step_ms) + 2
    for step in steps:
        again.add(*step)
    now_ms = max((at for at, *_ in events), default=0)
    assert again.counts(now_ms) == window.counts(now_ms)
    assert again.steps() == steps


@st.composite
def rules(draw: st.DrawFn) -> BurnRules:
    short_ms = draw(st.integers(1, 500))
    pairs = draw(
        st.lists(
            st.builds(
                Pair,
                st.sampled_from(["page", "ticket"]),
                st.sampled_from([1.0, 6.0, 14.4]),
                st.integers(short_ms + 1, 5000),
                st.just(short_ms),
            ),
            min_size=1,
            max_size=3,
        )
    )
    return BurnRules(tuple(pairs), draw(st.integers(0, 60)), draw(st.integers(0, 20)), draw(st.integers(0, 1000)))


@given(rules(), EVENTS, st.lists(st.integers(0, 700), min_size=1, max_size=40))
def test_an_alert_is_as_its_definition_says(
    rules: BurnRules, events: list[tuple[int, int, int]], gaps_ms: list[int]
) -> None:
    """By whole numbers and from all evaluations so far, where the state machine keeps only what it needs."""
    budget = Fraction(1, 8)
    burn = SloBurn(float(budget), rules)
    for event in sorted(events):
        burn.add(*event)
    now_ms = max((at for at, *_ in events), default=0)
    looked: list[tuple[int, dict[str, bool]]] = []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        exceeded = {pair.severity: False for pair in rules.pairs}
        for pair in rules.pairs:
            long, short = burn.windows[pair.long_ms].counts(now_ms), burn.windows[pair.short_ms].counts(now_ms)
            fast = all(c.bad > Fraction(pair.factor) * budget * c.total for c in (long, short))
            if fast and long.total >= rules.events_min and long.bad >= rules.bad_min:
                exceeded[pair.severity] = True
        looked.append((now_ms, exceeded))
        for verdict in burn.evaluate(now_ms):
            assert verdict.firing == fires(looked, verdict.severity, rules.hold_ms)


def fires(looked: list[tuple[int, dict[str, bool]]], severity: str, hold_ms: int) -> bool:
    """It exceeded once, and since then was never quiet for the hold."""
    last = max((n for n, (_, exceeded) in enumerate(looked) if exceeded[severity]), default=None)
    if last is None:
        return False
    quiet = looked[last + 1 :]
    return not quiet or looked[-1][0] - quiet[0][0] < hold_ms
