"""What a declaration of outcome state may not say, and what it is told then."""

import numpy as np
import pytest
from pydantic import ValidationError

from features.columns import Columns
from features.memory_bound import MemoryBound, StateFullError
from features.outcome_spec import OutcomeFeature, OutcomeSpec
from features.outcome_state import OutcomeState, plan_outcomes
from features.schema import NUMBER, EventField, Schema

SCHEMA = Schema(fields={"camera": EventField(type="id")})
RATE = {"aggregate": "rate", "field": "score", "at_least": 0.5, "rows": 10}
DRIFT = {"aggregate": "drift", "field": "sharpness", "rows": 10, "half_life": "10m"}


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({**RATE, "at_least": None}, "needs `at_least`"),
        ({**RATE, "span": "1m"}, "either `rows` or `span`"),
        ({**RATE, "rows": None}, "either `rows` or `span`"),
        ({**RATE, "rows": None, "span": "0s"}, "above zero"),
        ({**RATE, "half_life": "1m"}, "goes with aggregate"),
        ({**DRIFT, "rows": None}, "needs `rows`"),
        ({**DRIFT, "half_life": None}, "`half_life` above zero"),
        ({**DRIFT, "span": "1m"}, "go with aggregate"),
        ({**RATE, "rows": 0}, "greater than or equal to 1"),
        ({**RATE, "fild": "score"}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(declared, told):
    with pytest.raises(ValidationError, match=told):
        OutcomeFeature.model_validate(declared)


def spec(**features):
    return OutcomeSpec.model_validate({"key": "camera", "features": features})


def test_a_field_that_no_scored_row_has_is_named():
    with pytest.raises(
        ValueError, match=r"outcome_state\.camera\.features\.dim\.field: 'sharpness' .* score, exposure"
    ):
        plan_outcomes("camera", spec(dim=DRIFT), SCHEMA, ["exposure"])


def test_a_number_that_is_none_leaves_no_trace():
    plan = plan_outcomes("camera", spec(rate=RATE), SCHEMA, [])
    state, columns = OutcomeState(plan, MemoryBound(1 << 22)), Columns(SCHEMA, 3)
    columns.length[:] = NUMBER
    score, out = np.array([1.0, np.nan, 0.0], np.float32), np.zeros((3, 1))
    rows, zeros = np.arange(3, dtype=np.int32), np.zeros(3, np.int32)
    state.advance(columns, rows, zeros, rows.astype(np.int64), np.zeros(3, np.int64), score, out, out)
    assert out[:, 0].tolist() == [1.0, 1.0, 0.5]


def test_a_bound_that_is_reached_is_named():
    plan = plan_outcomes("camera", spec(rate={**RATE, "rows": 65536}), SCHEMA, [])
    state, columns = OutcomeState(plan, MemoryBound(1 << 16)), Columns(SCHEMA, 64)
    columns.length[:] = NUMBER
    columns.value[0] = np.arange(64)
    rows, zeros, out = np.arange(64, dtype=np.int32), np.zeros(64, np.int64), np.zeros((64, 1))
    with pytest.raises(StateFullError, match=r"'outcome_state\.camera'"):
        state.advance(columns, rows, rows * 0, zeros, zeros, np.zeros(64, np.float32), out, out)
