"""A cascade held against its calibration: when it is said to have drifted, and how far its thresholds move."""

import logging

import numpy as np
import pytest

from models.cascade import Thresholds, expected_of
from pipeline.cascade_watch import AUDITS_ROWS, CascadeWatch, Moves

WINDOW = 4_000
BOTH = Thresholds(0.1, 0.9)
MOVES = Moves((0.05, 0.2), (0.85, 0.95))


def scores(seed, rows=WINDOW, power=3.0):
    """Most of them near 0; the higher the power, the more."""
    first = np.random.default_rng(seed).random(rows) ** power
    noise = np.random.default_rng(seed + 1).normal(0, 0.01, rows)
    return first.astype(np.float32), (first + noise).astype(np.float32)


EXPECTED = expected_of(*scores(1, 50_000), BOTH)


def fed(watch, first, second=None):
    for start in range(0, len(first), 512):
        watch.scored(first[start : start + 512])
    return watch


def test_a_stream_as_calibrated_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    watch = CascadeWatch(BOTH, EXPECTED, WINDOW, MOVES)
    for seed in range(2, 10):
        fed(watch, scores(seed)[0])
    levels = watch.levels()
    assert levels["cascade_drifted"] == 0
    assert levels["cascade_passed_share/low"] < EXPECTED.passed_share < levels["cascade_passed_share/high"]
    assert watch.thresholds == BOTH
    assert not caplog.records


def test_nothing_is_said_before_a_window_is_full() -> None:
    watch = fed(CascadeWatch(BOTH, EXPECTED, WINDOW), np.full(WINDOW - 1, 0.5, np.float32))
    assert set(watch.levels()) == {"cascade_sure/below", "cascade_sure/above"}


def test_a_drift_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch = CascadeWatch(BOTH, EXPECTED, 512)
    for _ in range(3):
        fed(watch, np.full(512, 0.5, np.float32))
    assert watch.levels()["cascade_drifted"] == 1
    fed(watch, scores(7, 512)[0])
    assert watch.levels()["cascade_drifted"] == 0
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert watch.thresholds == BOTH, "nothing moves unless it is allowed to"


def test_models_that_disagree_are_a_drift_that_no_threshold_mends() -> None:
    watch = CascadeWatch(BOTH, EXPECTED, WINDOW, MOVES)
    watch.agreed(np.full(500, EXPECTED.agreement - 0.2))
    fed(watch, scores(3)[0])
    levels = watch.levels()
    assert levels["cascade_drifted"] == 1
    assert levels["cascade_agreement/found"] < levels["cascade_agreement/low"]
    assert (watch.thresholds, watch.moved) == (BOTH, 0)


def test_a_shifted_scale_moves_the_thresholds_until_the_calibrated_share_is_sure_again() -> None:
    watch = CascadeWatch(BOTH, EXPECTED, WINDOW, Moves((0.05, 0.5), (0.85, 0.99)))
    shifted = [scores(seed, power=1.5)[0] for seed in range(4, 8)]
    for first in shifted:
        fed(watch, first)
    assert watch.moved == 1
    assert watch.levels()["cascade_drifted"] == 0
    below = float((shifted[-1] < watch.thresholds.sure_below).mean())
    assert below == pytest.approx(EXPECTED.below_share, abs=0.03)


def test_thresholds_never_leave_their_range() -> None:
    watch = CascadeWatch(BOTH, EXPECTED, WINDOW, MOVES)
    for seed in range(4, 8):
        fed(watch, scores(seed, power=1.5)[0])
    assert watch.thresholds.sure_below == MOVES.sure_below[1]
    assert MOVES.sure_above[0] <= watch.thresholds.sure_above <= MOVES.sure_above[1]
    assert watch.moved >= 1


def test_disagreement_is_of_the_last_audits() -> None:
    watch = CascadeWatch(BOTH, None, WINDOW)
    watch.audited(np.array([True, True, False, True]))
    assert watch.levels()["cascade_disagreement"] == 0.25
    watch.audited(np.ones(AUDITS_ROWS, np.bool_))
    assert watch.levels()["cascade_disagreement"] == 0.0


def test_without_a_report_nothing_is_kept() -> None:
    watch = fed(CascadeWatch(BOTH, None, WINDOW), scores(1)[0])
    watch.agreed(np.zeros(5))
    assert not watch._scores
    assert not watch._agreement
    assert "cascade_drifted" not in watch.levels()
