"""What should have been answered: tables of what Kafka says, and the law that nothing is bad twice."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.slo.expected import SETTLE_MS, Expected, Position

OVERDUE_MS = 5000


def sample(expected: Expected, at_s: float, end: int, committed: int | None) -> int:
    return expected.sampled(round(at_s * 1000), {"t/0": Position(end, committed)})


def test_events_become_overdue_once_they_are_old_enough() -> None:
    expected = Expected(OVERDUE_MS)
    assert sample(expected, 0, 100, 100) == 0
    assert [sample(expected, at_s, 100 + 10 * at_s, 100) for at_s in range(1, 9)] == [0] * 5 + [10, 10, 10]
    assert expected.unanswered == expected.owed == 30


def test_a_pipeline_that_keeps_up_is_owed_nothing() -> None:
    expected = Expected(OVERDUE_MS)
    assert not any(sample(expected, at_s, 100 * at_s, 100 * at_s - 50) for at_s in range(60))


def test_what_was_there_before_the_first_commit_is_not_expected_and_what_comes_then_is() -> None:
    expected = Expected(OVERDUE_MS)
    found = [sample(expected, at_s, 1000 if at_s < 3 else 1007, None) for at_s in range(12)]
    assert sum(found) == 7


def test_a_backlog_of_a_group_that_has_committed_is_expected() -> None:
    expected = Expected(OVERDUE_MS)
    assert [sample(expected, at_s, 1000, 400) for at_s in (0, 4, 5, 6)] == [0, 0, 600, 0]


def test_late_answers_are_not_bad_a_second_time() -> None:
    expected = Expected(OVERDUE_MS)
    for at_s in range(11):
        sample(expected, at_s, 100 + 10 * at_s, 100)
    assert expected.owed == 50
    assert expected.settled(20) == 20
    assert expected.settled(100) == 30, "more late answers than were owed are late by themselves"
    assert expected.settled(1) == 0


def test_answers_that_nobody_told_of_are_owed_no_more_after_a_while() -> None:
    expected = Expected(OVERDUE_MS)
    for at_s in range(11):
        sample(expected, at_s, 1000, 900)
    assert expected.owed == 100
    for at_s in range(11, 12 + SETTLE_MS // 1000):
        sample(expected, at_s, 1000, 1000)
        assert expected.owed == 100 or at_s > SETTLE_MS // 1000
    sample(expected, 13 + SETTLE_MS // 1000, 1000, 1000)
    assert expected.owed == 0


def test_going_back_to_an_earlier_offset_is_not_an_outage() -> None:
    expected = Expected(OVERDUE_MS)
    for at_s in range(10):
        assert sample(expected, at_s, 1000, 1000) == 0
    assert not any(sample(expected, at_s, 1000, 200) for at_s in range(10, 30))


def test_a_topic_made_anew_begins_anew() -> None:
    expected = Expected(OVERDUE_MS)
    for at_s in range(10):
        sample(expected, at_s, 1000, 1000)
    found = [sample(expected, at_s, 5 if at_s < 20 else 8, 1000) for at_s in range(10, 40)]
    assert sum(found) == 3, "the commit is of the old topic: what comes after the first look is expected"


def test_a_restart_counts_nothing_twice_and_forgets_nothing() -> None:
    expected = Expected(OVERDUE_MS)
    for at_s in range(11):
        sample(expected, at_s, 100 + 10 * at_s, 100)
    after = Expected(OVERDUE_MS)
    after.restore(expected.keep())
    assert after.unanswered == after.owed == 50
    found = [sample(after, 20 + at_s, 300, 100) for at_s in range(7)]
    assert found == [0] * 5 + [150, 0]


STEP = st.tuples(st.integers(0, 3000), st.integers(0, 40), st.integers(0, 40))


@given(st.lists(st.lists(STEP, min_size=1, max_size=30), min_size=1, max_size=3))
def test_every_event_is_bad_at_most_once_and_only_if_it_was_unanswered_for_long(
    partitions: list[list[STEP]],  # type: ignore[valid-type]
) -> None:
    """Against the history itself: who arrived when, and which sample first saw whom answered."""
    for steps in partitions:
        expected, at_ms, end, committed = Expected(OVERDUE_MS), 0, 0, 0
        seen: list[tuple[int, int, int]] = []
        overdue = 0
        for wait_ms, arrive, answer in [(0, 0, 0), *steps]:
            at_ms, end = at_ms + wait_ms, end + arrive
            committed = min(end, committed + answer)
            seen.append((at_ms, end, committed))
            overdue += expected.sampled(at_ms, {"t/0": Position(end, committed)})
        bad = {
            offset
            for now_ms, _, done in seen
            for offset in range(done, max((e for ms, e, _ in seen if ms <= now_ms - OVERDUE_MS), default=0))
        }
        assert overdue == len(bad)
        assert expected.unanswered == len({offset for offset in bad if offset >= committed})
