"""The checker finds what it is there for: what was lost, repeated, changed or invented."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.chaos.checker import Truth, Verdict, hold
from tests.chaos.topics import DeadLetter, Decisions, Inputs
from tests.chaos.windows import DAY_MS, NAMES, features_of

RECORDS, BAD = 10, 4
STARTS = {0: 2, 1: 1}


@pytest.fixture
def truth() -> Truth:
    """Two partitions of six and four records; the fifth of the first is not an event."""
    good = np.arange(RECORDS) != BAD
    events = {"id": np.arange(100, 100 + RECORDS)[good]}
    inputs = Inputs("t", np.array([0, 6, 10]), good, {BAD: (b"k", b"v")}, events, {})
    return Truth(inputs, np.arange(RECORDS * 15.0).reshape(RECORDS, 15), np.arange(RECORDS) / 10)


def decided(truth: Truth, records: list[int]) -> Decisions:
    index = np.array(records)
    partition = (index >= 6).astype(np.int64)
    ids: list[int | str] = [str(100 + record) for record in records]
    features, score = truth.features[index].copy(), truth.score[index].copy()
    return Decisions(partition, index - 6 * partition, score, features, ids, {"t"}, {"scored"})


ALL = [2, 3, 5, 7, 8, 9]
LETTER = DeadLetter("t", 0, BAD, b"k", b"v", "headrace.invalid-json")


def test_a_whole_run_holds(truth: Truth) -> None:
    assert hold(truth, decided(truth, ALL), [LETTER], STARTS, once=True) == Verdict(6, 1, 0, 0.0)


def test_repeats_are_counted_and_refused_where_there_may_be_none(truth: Truth) -> None:
    found = decided(truth, [*ALL, 5, 5, 9])
    assert hold(truth, found, [LETTER, LETTER], STARTS, once=False).repeats == 4
    with pytest.raises(AssertionError, match="4 outcomes were published more than once"):
        hold(truth, found, [LETTER, LETTER], STARTS, once=True)


@pytest.mark.parametrize(
    ("records", "letters", "why"),
    [
        ([2, 3, 5, 7, 8], [LETTER], r"1 records have no decision, the first at \[\(1, 3\)\]"),
        (ALL, [], r"1 records have no dead letter, the first at \[\(0, 4\)\]"),
        ([1, *ALL], [LETTER], r"a decision they should not have, the first at \[\(0, 1\)\]"),
        ([4, *ALL], [LETTER], r"a decision they should not have, the first at \[\(0, 4\)\]"),
        (ALL, [LETTER, dataclasses.replace(LETTER, offset=5)], "a good record became a dead letter"),
        (ALL, [dataclasses.replace(LETTER, value=b"w")], "a dead letter was changed"),
        ([*ALL, 10], [LETTER], "an offset that is not there"),
    ],
)
def test_what_is_lost_or_invented_is_found(truth: Truth, records: list[int], letters: Any, why: str) -> None:
    longer = Truth(truth.inputs, np.resize(truth.features, (11, 15)), np.resize(truth.score, 11))
    with pytest.raises(AssertionError, match=why):
        hold(truth, decided(longer, records), letters, STARTS, once=False)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda found: np.nextafter(found.features, np.inf, out=found.features, where=found.features == 52),
            "differ",
        ),
        (lambda found: np.add(found.score, [0, 0, 0, 2e-5, 0, 0], out=found.score), "a score is 2.*off"),
        (lambda found: found.ids.reverse(), "an id does not belong"),
        (lambda found: found.outcomes.add("expired"), "outcomes are"),
        (lambda found: found.topics.add("u"), "u"),
    ],
)
def test_what_is_changed_is_found(truth: Truth, change: Any, why: str) -> None:
    found = decided(truth, ALL)
    change(found)
    with pytest.raises(AssertionError, match=why):
        hold(truth, found, [LETTER], STARTS, once=False)


def test_the_windows_are_those_of_a_plain_count() -> None:
    rng, n = np.random.default_rng(4), 400
    events = {
        "time_ms": np.sort(rng.integers(0, 50 * 24, n)) * 3_600_000,
        "customer": rng.integers(0, 5, n),
        "terminal": rng.integers(0, 4, n),
        "cents": rng.integers(1, 10_000, n),
    }
    frauds = rng.choice(n, 60, replace=False)
    labels = {"terminal": events["terminal"][frauds], "time_ms": events["time_ms"][frauds]}
    found = features_of(events, labels)
    for row in rng.choice(n, 60, replace=False).tolist():
        at = events["time_ms"][row]
        for days in (1, 7, 30):
            mine = (events["customer"] == events["customer"][row]) & (events["time_ms"] > at - days * DAY_MS)
            cents = events["cents"][: row + 1][mine[: row + 1]]
            until = at - 7 * DAY_MS
            there = (events["terminal"] == events["terminal"][row]) & (events["time_ms"] <= until)
            there &= events["time_ms"] > until - days * DAY_MS
            hits = np.isin(np.flatnonzero(there), frauds).sum()
            expected = (len(cents), cents.mean() / 100, there.sum(), hits / max(1, there.sum()))
            names = ("customer_count", "customer_mean", "terminal_count", "terminal_risk")
            got = [found[row, NAMES.index(f"{name}_{days}d")] for name in names]
            assert np.allclose(got, expected, rtol=0, atol=1e-9), (row, days)
