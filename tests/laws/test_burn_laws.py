"""Windows and burn rates hold for whatever arrives in whatever order."""

from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.slo.burn import BurnRules, Pair, SloBurn
from pipeline.slo.windows import STEPS, WindowCounts

Event = tuple[int, int, int]
COUNT = st.integers(0, 50)


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, list[Event], int]:
    """A span, events around its edges, and when it is looked at."""
    span_ms = draw(st.one_of(st.integers(1, 40), st.integers(1, 5000), st.integers(1, 40).map(lambda n: n * STEPS)))
    step_ms = WindowCounts(span_ms).step_ms
    near = st.builds(lambda n, part: n * span_ms + part, st.integers(1, 3), st.integers(-2 * step_ms, 2 * step_ms))
    times = st.one_of(st.integers(0, 4 * span_ms), near.map(lambda at_ms: max(0, at_ms)))
    events = draw(st.lists(st.tuples(times, COUNT, COUNT), max_size=30))
    newest_ms = max((at_ms for at_ms, *_ in events), default=0)
    return span_ms, events, newest_ms + draw(st.one_of(st.integers(0, 2 * span_ms), st.sampled_from([0, span_ms])))


@given(windows())
def test_a_window_holds_what_happened_in_it_give_or_take_a_step(drawn: tuple[int, list[Event], int]) -> None:
    span_ms, events, now_ms = drawn
    window = WindowCounts(span_ms)
    for event in sorted(events):
        window.add(*event)
    begin_ms = (now_ms - span_ms) // window.step_ms * window.step_ms
    held = [event for event in events if event[0] >= begin_ms]
    assert window.counts(now_ms) == (sum(good for _, good, _ in held), sum(bad for *_, bad in held))
    assert now_ms - begin_ms < span_ms + window.step_ms


@given(windows(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(drawn: tuple[int, list[Event], int], random: Random) -> None:
    span_ms, events, now_ms = drawn
    one, other = WindowCounts(span_ms), WindowCounts(span_ms)
    shuffled = list(events)
    random.shuffle(shuffled)
    for a, b in zip(events, shuffled, strict=True):
        one.add(*a)
        other.add(*b)
    assert one.counts(now_ms) == other.counts(now_ms)


@given(windows())
def test_a_window_is_made_again_from_its_steps(drawn: tuple[int, list[Event], int]) -> None:
    span_ms, events, now_ms = drawn
    window, again = WindowCounts(span_ms), WindowCounts(span_ms)
    for event in events:
        window.add(*event)
    steps = window.steps()
    assert len(steps) <= max(STEPS, span_ms // window.step_ms) + 2
    for step in steps:
        again.add(*step)
    assert again.steps() == steps
    assert again.counts(now_ms) == window.counts(now_ms)


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
    return BurnRules(tuple(pairs), draw(st.integers(0, 60)), draw(st.integers(0, 20)), draw(st.integers(0, 9)) * 100)


LOOK = st.tuples(st.integers(0, 7).map(lambda n: n * 100), COUNT, COUNT)


@given(rules(), st.lists(LOOK, min_size=1, max_size=40))
def test_an_alert_is_as_its_definition_says(rules: BurnRules, looks: list[Event]) -> None:
    """By whole numbers and from all evaluations so far, where the state machine keeps only what it needs."""
    budget = Fraction(1, 8)
    burn, now_ms = SloBurn(float(budget), rules), 0
    looked: list[tuple[int, dict[str, bool]]] = []
    for gap_ms, good, bad in looks:
        now_ms += gap_ms
        burn.add(now_ms, good, bad)
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
