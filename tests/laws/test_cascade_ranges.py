"""Laws of the cascade: what is sure, what is expected of a stream, and thresholds from scores alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.cascade import (
    Thresholds,
    agreement_of,
    confidence_of,
    drift_of,
    expected_of,
    merged,
    proposed,
)

SHARE = st.floats(0, 1, width=32)
PAIRS = st.tuples(SHARE, SHARE).map(sorted)
SCORES = st.integers(1, 200).flatmap(lambda rows: arrays(np.float32, rows, elements=SHARE))


@st.composite
def two_models(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Thresholds]:
    first = draw(SCORES)
    second = draw(arrays(np.float32, len(first), elements=SHARE))
    return first, second, Thresholds(*draw(PAIRS))


@given(SCORES, PAIRS)
def test_a_row_is_sure_below_or_above_or_is_passed_on(first: np.ndarray, pair: list[float]) -> None:
    unsure = Thresholds(*pair).unsure(first)
    assert ((first < pair[0]).astype(int) + (first > pair[1]) + unsure == 1).all()


@given(SCORES)
def test_the_whole_interval_passes_every_row_and_nan_is_never_sure(first: np.ndarray) -> None:
    assert Thresholds(0.0, 1.0).unsure(first).all()
    assert not Thresholds(np.inf, -np.inf).unsure(first).any()
    assert Thresholds(0.4, 0.5).unsure(np.array([np.nan])).all()


@given(two_models())
def test_a_sure_row_keeps_the_first_score_and_the_others_have_the_second(
    case: tuple[np.ndarray, np.ndarray, Thresholds],
) -> None:
    first, second, thresholds = case
    scores, unsure = merged(first, second, thresholds), thresholds.unsure(first)
    assert (scores[unsure] == second[unsure]).all()
    assert (scores[~unsure] == first[~unsure]).all()


@given(two_models())
def test_what_was_calibrated_has_not_drifted(case: tuple[np.ndarray, np.ndarray, Thresholds]) -> None:
    first, second, thresholds = case
    expected = expected_of(first, second, thresholds)
    assert abs(expected.passed_share - thresholds.unsure(first).mean()) < 1e-9
    unsure = thresholds.unsure(first)
    drift = drift_of(expected, thresholds, first, agreement_of(first[unsure], second[unsure]))
    assert not drift.drifted


@given(two_models(), SCORES)
def test_proposed_thresholds_are_never_sure_of_more(
    case: tuple[np.ndarray, np.ndarray, Thresholds], recent: np.ndarray
) -> None:
    first, second, thresholds = case
    expected = expected_of(first, second, thresholds)
    new = proposed(recent, expected, thresholds)
    assert (recent < new.sure_below).mean() <= expected.below_share + 1e-9
    assert (recent > new.sure_above).mean() <= expected.above_share + 1e-9


@given(st.integers(20, 400), st.floats(0.2, 5.0), st.tuples(st.floats(0, 0.45), st.floats(0.55, 1)), st.randoms())
def test_a_scale_that_shifts_is_followed(rows: int, power: float, ends: tuple[float, float], random: object) -> None:
    first = (np.arange(rows) + 0.5) / rows
    random.shuffle(first)  # type: ignore[attr-defined]
    thresholds = Thresholds(*ends)
    expected = expected_of(first, first, thresholds)
    shifted = first**power
    new = proposed(shifted, expected, thresholds)
    assert (new.unsure(shifted) >= thresholds.unsure(first)).all()
    assert new.unsure(shifted).mean() <= expected.passed_share + 2 / rows + 1e-9


@given(st.integers(2_000, 20_000), st.integers(0, 1 << 30))
def test_a_stream_twice_as_unsure_has_drifted(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    first = random.uniform(0, 1, rows).astype(np.float32)
    thresholds = Thresholds(0.8, 1.0)
    expected = expected_of(first, first, thresholds)
    recent = np.maximum(first, random.uniform(0, 1, rows).astype(np.float32))
    assert drift_of(expected, thresholds, recent, np.zeros(0)).drifted
    assert not drift_of(expected, thresholds, random.permutation(first)[: rows // 2], np.zeros(0)).drifted


def test_models_that_no_longer_agree_have_drifted() -> None:
    random = np.random.default_rng(1)
    first = random.uniform(0, 1, 4000)
    second = np.clip(first + random.normal(0, 0.05, 4000), 0, 1)
    thresholds = Thresholds(0.5, 1.0)
    expected = expected_of(first, second, thresholds)
    apart = agreement_of(first[first >= 0.5], random.permutation(second[first >= 0.5]))
    found = drift_of(expected, thresholds, first, apart)
    assert found.agreement is not None
    assert found.agreement.left
    assert found.drifted
    assert not found.passed_share.left


def test_classes_agree_by_their_likeliest() -> None:
    first = np.array([[0.6, 0.4], [0.1, 0.9], [0.3, 0.7]], np.float32)
    second = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]], np.float32)
    assert agreement_of(first, second).tolist() == [1.0, 0.0, 1.0]
    assert confidence_of(first).tolist() == [np.float32(0.6), np.float32(0.9), np.float32(0.7)]
    expected = expected_of(first, second, Thresholds(0.0, 0.8))
    assert (expected.above_share, expected.agreement) == (1 / 3, 1.0)
