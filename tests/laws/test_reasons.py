"""Reasons take their share of the time and no deadline's, the most important first; who goes without is counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.explain import Explainer
from models.repository import Repository
from models.trees import TREES_FILE, read_trees
from pipeline.batch import NEVER_NS
from pipeline.reason_budget import HASTE, SAVED_NS_MAX, ReasonBudget
from pipeline.reasons import Reasons
from pipeline.rows import Outcome, Rows
from pipeline.servings import EXPIRED, Serving, Servings, TierLabel

FEATURES, TOP = 15, 3
MS = 1_000_000


@given(
    st.floats(0.01, 1.0),
    st.lists(st.tuples(st.integers(0, 20 * MS), st.integers(1, 500), st.floats(0.2, 5.0)), min_size=1, max_size=60),
)
def test_no_more_than_the_share_and_what_was_saved_is_spent(
    share: float, turns: list[tuple[int, int, float]]
) -> None:
    now_ns = spent_ns = 0
    budget = ReasonBudget(share, now_ns, 2_000.0)
    longest_ns = 0
    for passed_ns, wanted, times in turns:
        now_ns += passed_ns
        rows = budget.rows(wanted, now_ns, NEVER_NS)
        assert 0 <= rows <= wanted
        if rows:
            took_ns = int(rows * budget.row_ns * times)
            longest_ns = max(longest_ns, took_ns)
            budget.spent(rows, took_ns)
            spent_ns += took_ns
        assert spent_ns <= share * (now_ns + SAVED_NS_MAX) + longest_ns


@given(st.integers(1, 1000), st.integers(-MS, 10 * MS), st.floats(100.0, 1e6))
def test_it_is_done_before_a_deadline_though_rows_take_twice_as_long(
    wanted: int, left_ns: int, row_ns: float
) -> None:
    budget = ReasonBudget(1.0, 0, row_ns)
    rows = budget.rows(wanted, 0, left_ns)
    assert rows * row_ns * HASTE <= max(0, left_ns)
    assert ReasonBudget(1.0, 0, 1.0).rows(wanted, 0, NEVER_NS) == wanted


def test_what_a_row_takes_is_learned() -> None:
    budget = ReasonBudget(1.0, 0, 50.0)
    for _ in range(100):
        budget.spent(98, 400_000)
    assert budget.row_ns == pytest.approx(4_000, rel=0.01)


def shipped(name: str) -> Explainer:
    path = Repository.shipped().load(name, "1").beside(TREES_FILE)
    assert path is not None
    return Explainer(read_trees(path, FEATURES))


GBT, LITE = shipped("fraud-gbt"), shipped("fraud-lite")


class Ground:
    """Rows of three decisions, answered by two models and a rule; review and decline want reasons, decline first."""

    def __init__(self, rows: int, seed: int = 1, share: float | None = 1.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.rows = Rows(rows, FEATURES, explained=TOP)
        first, _ = self.rows.claim(rows)
        assert first == 0
        self.rows.features32[:] = self.rng.gamma(1.0, 30.0, (rows, FEATURES))
        self.rows.serving[:] = self.rng.integers(1, 4, rows)
        self.rows.outcome[:] = Outcome.SCORED
        self.rows.decision[:] = self.rng.integers(0, 3, rows)
        self.rows.score[:] = 0.5
        self.rows.deadline_ns[:] = NEVER_NS
        labels = [TierLabel(name, name, "1", "CPU") for name in ("primary", "lite", "rule")]
        self.servings = Servings(
            Serving(label, tier, tier > 0, (0.3, 0.8), explainer)
            for tier, (label, explainer) in enumerate(zip(labels, (GBT, LITE, None), strict=True))
        )
        self.now_ns, self.typical_ns, self.wake_ns = 10 * MS, 0, NEVER_NS
        self.reasons = Reasons(
            self.rows,
            self.servings,
            [-1, 1, 0],
            share,
            lambda: self.now_ns,
            lambda: self.typical_ns,
            lambda: self.wake_ns,
        )

    def explain(self) -> np.ndarray:
        """Explain all; returns who has reasons."""
        self.reasons.explain(np.arange(self.rows.capacity_rows, dtype=np.int32))
        return ~np.isnan(self.rows.attributions[:, 0])

    def wanting(self) -> np.ndarray:
        rows = self.rows
        known = (rows.outcome != Outcome.EXPIRED) & np.isfinite(rows.score)
        return (rows.decision > 0) & np.isin(rows.serving, (1, 2)) & known


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 200), st.integers(0, 99))
def test_with_time_all_that_want_reasons_have_those_of_the_model_that_answered(rows: int, seed: int) -> None:
    ground = Ground(rows, seed)
    ground.rows.serving[::7], ground.rows.outcome[::7] = EXPIRED, Outcome.EXPIRED
    ground.rows.score[::5] = np.nan
    told = ground.explain()
    assert told.tolist() == ground.wanting().tolist()
    assert ground.reasons.counts() == {"reasons": told.sum(), "reasons_skipped": 0, "reasons_us": 0}
    for serving, explainer in ((1, GBT), (2, LITE)):
        own = told & (ground.rows.serving == serving)
        whole = explainer.contributions(ground.rows.features32[own])
        first = ground.rows.explained[own, 0]
        assert (first == np.abs(whole).argmax(axis=1)).all()
        assert ground.rows.attributions[own, 0] == pytest.approx(whole[np.arange(len(whole)), first], rel=1e-6)


def test_a_deadline_that_can_be_met_is_kept_and_what_is_left_out_is_the_lesser_decision() -> None:
    ground = Ground(400)
    row_ns = ground.reasons._budget.row_ns  # type: ignore[union-attr]
    declines = int((ground.wanting() & (ground.rows.decision == 2)).sum())
    ground.typical_ns = 2 * MS
    ground.rows.deadline_ns[3] = ground.now_ns + ground.typical_ns + int((declines + 12) * row_ns * HASTE)
    ground.rows.deadline_ns[4] = ground.now_ns + ground.typical_ns - 1  # lost anyhow: nobody hurries for it
    told = ground.explain()
    assert declines < told.sum() <= declines + 12
    assert told[ground.wanting() & (ground.rows.decision == 2)].all()
    assert ground.reasons.given + ground.reasons.skipped == ground.wanting().sum()
    assert ground.reasons.given == told.sum()


def test_the_batcher_is_not_kept_waiting() -> None:
    ground = Ground(400)
    ground.wake_ns = ground.now_ns
    assert not ground.explain().any()
    assert ground.reasons.skipped == ground.wanting().sum()


def test_without_a_share_nothing_is_skipped_whatever_the_deadlines() -> None:
    ground = Ground(400, share=None)
    ground.rows.deadline_ns[:] = ground.wake_ns = ground.now_ns
    assert ground.explain().tolist() == ground.wanting().tolist()
    assert ground.reasons.skipped == 0


def test_a_version_that_comes_later_is_explained_too() -> None:
    ground = Ground(50)
    ground.rows.serving[:] = ground.servings.add(
        Serving(TierLabel("primary", "new", "2", "CPU"), 0, False, (0.3, 0.8), LITE)
    )
    assert ground.explain().sum() == (ground.rows.decision > 0).sum() > 0


def test_a_slot_that_is_claimed_again_has_no_reasons_of_before() -> None:
    ground = Ground(20)
    assert ground.explain().any()
    ground.rows.free(20)
    ground.rows.claim(20)
    assert np.isnan(ground.rows.attributions).all()
