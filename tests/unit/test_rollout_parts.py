"""Places of keys, copies of rows, costs that outlive a version, quantiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.columns import Columns
from features.schema import EventField, Schema
from models.cost import CostModel
from pipeline.rollout.keys import GROUPS, KeyPlaces, seed_of
from pipeline.rollout.quantile import t_quantile
from pipeline.rollout.standing_cost import StandingCost


def columns_of(keys: list[int | bytes]) -> Columns:
    columns = Columns(Schema(fields={"key": EventField(type="id")}), len(keys))
    for row, key in enumerate(keys):
        if isinstance(key, int):
            columns.value[0, row], columns.length[0, row] = key, -1
        else:
            held = np.frombuffer(key, np.uint8) if key else np.zeros(1, np.uint8)
            columns.keep.append(held)
            columns.value[0, row], columns.length[0, row] = held.ctypes.data, len(key)
    return columns


KEYS = st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40)), min_size=1, max_size=60)


@given(KEYS, st.text(max_size=20))
def test_a_key_has_one_place_wherever_it_stands(keys: list[int | bytes], rollout: str) -> None:
    seed = seed_of(rollout)
    forward = KeyPlaces(columns_of(keys), 0).of(np.arange(len(keys), dtype=np.int32), seed)
    backward = KeyPlaces(columns_of(keys[::-1]), 0).of(np.arange(len(keys), dtype=np.int32)[::-1].copy(), seed)
    for one, other in zip(forward, backward, strict=True):
        assert np.array_equal(one, other)
    place, group = forward
    assert ((place >= 0) & (place < 1)).all()
    assert ((group >= 0) & (group < GROUPS)).all()


def test_places_are_the_same_in_every_process_and_after_every_restart() -> None:
    place, group = KeyPlaces(columns_of([4711, b"customer-7"]), 0).of(np.arange(2, dtype=np.int32), seed_of("r1"))
    assert place.tolist() == [0.47402859527382946, 0.3466512966374994]
    assert group.tolist() == [11, 29]


def test_places_are_spread_evenly_and_other_rollouts_try_other_keys() -> None:
    many = KeyPlaces(columns_of(list(range(20_000))), 0)
    slots = np.arange(20_000, dtype=np.int32)
    place, group = many.of(slots, seed_of("r1"))
    for share in (0.01, 0.25, 0.9):
        assert abs((place < share).mean() - share) < 4.5 * np.sqrt(share * (1 - share) / 20_000)
    assert np.bincount(group, minlength=GROUPS).min() > 500
    other, _ = many.of(slots, seed_of("r2"))
    assert abs(((place < 0.5) & (other < 0.5)).mean() - 0.25) < 0.02
    low = group[place < 0.1]
    assert np.bincount(low, minlength=GROUPS).min() > 25, "groups do not go with places"


@pytest.mark.parametrize("freedom", [7, 12, 31])
@pytest.mark.parametrize("tail", [0.05, 1e-3, 1e-5, 1e-8])
def test_quantiles_of_t(freedom: int, tail: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(tail, freedom) == pytest.approx(stats.t.isf(tail, freedom), rel=0.01)


def test_what_runs_took_never_falls_whichever_version_answers() -> None:
    first, second = CostModel([1, 8]), CostModel([1, 8])
    for model, ns in ((first, 1000), (second, 5000)):
        model.seed(1, [ns])
        model.seed(8, [ns * 2])
    standing = StandingCost(first)
    for _ in range(5):
        standing.observe(1, 1000)
    second.observe(1, 5000)
    before = (standing.took_ns, standing.calibration.runs, standing.calibration.broken)
    standing.become(second)
    assert (standing.took_ns, standing.calibration.runs, standing.calibration.broken) == before
    assert standing.expected_ns(1) == second.expected_ns(1)
    standing.observe(1, 5000)
    assert standing.took_ns == before[0] + 5000
    assert standing.calibration.runs == before[1] + 1
