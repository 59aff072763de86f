"""A bad candidate is found within so many rows; the same model is sent back no oftener than is stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.rollout.evidence import CANDIDATE, STABLE, Evidence
from pipeline.rollout.judge import Looks, Rules, failed, judged, ks, psi
from pipeline.rollout.keys import GROUPS

RULES = Rules(
    false_alarm=0.001, score_ks_max=0.1, decision_share_max=0.02, cost_ratio_max=2.0, not_finite_max=0, errors_max=0
)
NOTHING_ALLOWED = Rules(
    false_alarm=0.01, score_ks_max=0.0, decision_share_max=0.0, cost_ratio_max=2.0, not_finite_max=0, errors_max=0
)
THRESHOLDS = np.array([0.3, 0.8], np.float32)
BATCH = 50


class Customers:
    """Keys that differ: each has a level of its own and an activity of its own, a few make many of the rows."""

    def __init__(self, seed: int, spread: float, tail: float, keys: int = 2000) -> None:
        self._random = np.random.default_rng(seed)
        self._level = self._random.normal(-2.0, spread, keys)
        activity = self._random.pareto(tail, keys) + 0.2
        self._weight = activity / activity.sum()
        self._place = self._random.random(keys)
        self._group = self._random.integers(0, GROUPS, keys)

    def rows(self, count: int, share: float) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
        """Log-odds of so many rows, which of them are the candidate's, and their groups."""
        keys = self._random.choice(len(self._level), count, p=self._weight)
        return self._level[keys] + self._random.normal(0, 1, count), self._place[keys] < share, self._group[keys]


def by_candidate(logit: NDArray[np.float64], change: str) -> NDArray[np.float32]:
    score = (1.0 / (1.0 + np.exp(logit if change == "inverted" else -logit))).astype(np.float32)
    if change == "constant":
        return np.full(len(logit), 0.05, np.float32)
    return np.where(logit > -1.0, np.float32(0.95), score) if change == "declines" else score


def rows_until_found(
    seed: int,
    change: str,
    rules: Rules = RULES,
    *,
    paired: bool = False,
    share: float = 0.05,
    rows_max: int = 4000,
    spread: float = 1.0,
    tail: float = 2.5,
) -> int | None:
    """Rows of the candidate when it was found to be bad; None when it was not in `rows_max`."""
    customers, evidence, looks = Customers(seed, spread, tail), Evidence(3), Looks()
    while evidence.candidate_rows < rows_max:
        logit, mine, group = customers.rows(BATCH if paired else BATCH * 20, share)
        everyone = np.ones(len(logit), np.bool_)
        for side, chosen in ((STABLE, everyone if paired else ~mine), (CANDIDATE, everyone if paired else mine)):
            score = by_candidate(logit[chosen], change if side == CANDIDATE else "none")
            decision = np.searchsorted(THRESHOLDS, score, side="right").astype(np.int8)
            evidence.told(side, score, decision, group[chosen])
        part = looks.due(evidence.candidate_rows)
        if part and judged(evidence, rules, part, paired=paired):
            return evidence.candidate_rows
    return None


@pytest.mark.parametrize(("change", "rows_max"), [("inverted", 600), ("constant", 600), ("declines", 2000)])
@pytest.mark.parametrize("paired", [False, True])
def test_a_bad_model_is_found_within_so_many_rows(change: str, rows_max: int, paired: bool) -> None:
    found = [rows_until_found(seed, change, rows_max=rows_max, paired=paired) for seed in range(40)]
    assert sum(rows is not None for rows in found) >= 39


def test_the_same_model_stays() -> None:
    assert [seed for seed in range(60) if rows_until_found(seed, "none", rows_max=2000, share=0.1)] == []


@pytest.mark.soak
@pytest.mark.parametrize("tail", [1.5, 2.5])
def test_the_same_model_stays_in_a_thousand_runs(tail: float) -> None:
    """At the stated rate, one in a thousand, more than 4 would be a chance of 4 in a thousand."""
    alarms = [seed for seed in range(1000) if rows_until_found(seed, "none", rows_max=2000, share=0.1, tail=tail)]
    assert len(alarms) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_with_no_difference_allowed_chance_finds_one_no_oftener_than_stated(spread: float) -> None:
    alarms = sum(
        rows_until_found(seed, "none", NOTHING_ALLOWED, rows_max=2000, share=0.2, spread=spread) is not None
        for seed in range(200)
    )
    # At the stated rate of 1 % more than 7 of 200 would be a chance of one in a thousand.
    assert alarms <= 7


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
def test_looks_never_spend_more_than_there_is(steps: list[int]) -> None:
    looks, rows, spent = Looks(), 0, 0.0
    for step in steps:
        rows += step
        part = looks.due(rows)
        assert looks.due(rows) == 0.0, "each look is had once"
        spent += part
    assert spent < 1.0


@given(st.integers(0, 3), st.integers(0, 3))
def test_failures_are_allowed_as_often_as_stated(not_finite: int, errors: int) -> None:
    rules = Rules(0.001, 0.1, 0.02, 2.0, not_finite_max=1, errors_max=2)
    evidence = Evidence(2)
    evidence.failed(not_finite, not_finite=not_finite)
    for _ in range(errors):
        evidence.failed(1, errors=1)
    assert (failed(evidence, rules) is not None) == (not_finite > 1 or errors > 2)


@given(st.integers(1, 400), st.data())
def test_slow_runs_are_found_when_most_are_and_never_when_fewer_than_half_are(runs: int, data: st.DataObject) -> None:
    slow = data.draw(st.integers(0, runs))
    evidence = Evidence(2)
    for number in range(runs):
        evidence.ran(slow=number < slow)
    why = judged(evidence, RULES, 0.5)
    if slow * 2 <= runs:
        assert why is None
    if slow == runs and runs >= 30:
        assert why is not None
        assert "2 times" in why


@given(st.integers(0, 2**32), st.integers(1, 500))
def test_distances_are_zero_between_equals_and_positive_else(seed: int, rows: int) -> None:
    drawn = np.random.default_rng(seed)
    score, group = by_candidate(drawn.normal(0, 2, rows), "none"), drawn.integers(0, GROUPS, rows)
    evidence = Evidence(1)
    for side in (STABLE, CANDIDATE):
        evidence.told(side, score, np.zeros(rows, np.int8), group)
    assert ks(evidence) == 0.0
    assert abs(psi(evidence)) < 1e-12
    evidence.told(CANDIDATE, np.full(rows, 0.999, np.float32), np.zeros(rows, np.int8), group)
    assert ks(evidence) > 0
    assert psi(evidence) > 0


def test_few_keys_say_nothing_of_distributions() -> None:
    evidence = Evidence(1)
    group = np.repeat(np.arange(7), 1000)
    evidence.told(STABLE, np.full(7000, 0.1, np.float32), np.zeros(7000, np.int8), group)
    evidence.told(CANDIDATE, np.full(7000, 0.9, np.float32), np.zeros(7000, np.int8), group)
    assert judged(evidence, RULES, 0.5) is None
    assert judged(evidence, RULES, 0.5, paired=True) is not None
