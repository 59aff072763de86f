"""Outcome state says of scored rows what plain Python says of them, in whatever pieces they come."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome_model import Drift, RateOfRows, RateOfSpan

from features.columns import Columns
from features.memory_bound import MemoryBound
from features.outcome_spec import OutcomeSpec
from features.outcome_state import OutcomeState, plan_outcomes
from features.schema import NUMBER, EventField, Schema
from features.seen import Taken

SPEC = OutcomeSpec.model_validate(
    {
        "key": "camera",
        "keys_expected": 1,
        "features": {
            "rate_rows": {"aggregate": "rate", "field": "score", "at_least": 0.5, "rows": 5},
            "rate_many": {"aggregate": "rate", "field": "score", "at_least": 0.25, "rows": 130},
            "rate_span": {"aggregate": "rate", "field": "sharpness", "at_least": 3, "span": "240ms"},
            "drift": {"aggregate": "drift", "field": "sharpness", "rows": 4, "half_life": "100ms"},
        },
    }
)
SCHEMA = Schema(fields={"camera": EventField(type="id")})
FIRST = 2
PLAN = plan_outcomes("camera", SPEC, SCHEMA, ["exposure", "sharpness"], FIRST)
ROW = st.tuples(st.integers(0, 2), st.integers(0, 40), st.floats(0, 1, width=32), st.floats(0.5, 9))


def models():
    return [RateOfRows(5, 0.5), RateOfRows(130, 0.25), RateOfSpan(240, 3), Drift(4, 100)]


class Rows:
    """Drawn rows as the arrays that the state takes; times go on by steps that may be taken back a little."""

    def __init__(self, drawn, text: bool) -> None:
        n = max(1, len(drawn))
        self.columns, self.keep = Columns(SCHEMA, n), []
        self.time_ms, self.score = np.zeros(n, np.int64), np.zeros(n, np.float32)
        self.measures, self.out = np.zeros((n, 2)), np.zeros((n, FIRST + len(SPEC.features)))
        at_ms = 1_700_000_000_000
        for row, (camera, step_ms, score, sharpness) in enumerate(drawn):
            at_ms += step_ms - 5
            self.time_ms[row], self.score[row], self.measures[row, 1] = at_ms, score, sharpness
            self.columns.value[0, row], self.columns.length[0, row] = camera, NUMBER
            if text:
                self.keep.append(np.frombuffer(b"camera-%d" % camera, np.uint8))
                self.columns.value[0, row], self.columns.length[0, row] = self.keep[-1].ctypes.data, 8

    def advance(self, state: OutcomeState, first: int, stop: int) -> None:
        rows = np.arange(first, stop, dtype=np.int32)
        partition, offset = np.zeros(len(rows), np.int32), np.arange(first, stop, dtype=np.int64)
        state.advance(self.columns, rows, partition, offset, self.time_ms, self.score, self.measures, self.out)


def expected(drawn, rows: Rows) -> np.ndarray:
    by_camera: dict = {}
    told = []
    for row, (camera, _, _, sharpness) in enumerate(drawn):
        score = float(rows.score[row])
        numbers = (score, score, sharpness, sharpness)
        kept = by_camera.setdefault(camera, models())
        told.append([model.take(int(rows.time_ms[row]), n) for model, n in zip(kept, numbers, strict=True)])
    return np.array(told).reshape(len(drawn), len(SPEC.features))


@settings(max_examples=60)
@given(st.lists(ROW, max_size=200), st.integers(1, 50), st.booleans())
def test_it_says_what_the_rows_say(drawn, cut, text):
    rows, state = Rows(drawn, text), OutcomeState(PLAN, MemoryBound(1 << 22))
    for first in range(0, len(drawn), cut):
        rows.advance(state, first, min(first + cut, len(drawn)))
    np.testing.assert_allclose(rows.out[: len(drawn), FIRST:], expected(drawn, rows), rtol=1e-9, atol=1e-12)


@settings(max_examples=40)
@given(st.lists(ROW, min_size=1, max_size=120), st.data(), st.booleans())
def test_restored_it_goes_on_as_if_nothing_had_happened(drawn, data, text):
    rows, state = Rows(drawn, text), OutcomeState(PLAN, MemoryBound(1 << 22))
    stop = data.draw(st.integers(1, len(drawn)))
    rows.advance(state, 0, stop)
    words, bytes_ = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.uint8)
    piece = state.write_piece(0, state.keys, words, bytes_)
    assert piece.keys == state.keys
    assert not state.changed(0, state.keys)
    other = OutcomeState(PLAN, MemoryBound(1 << 22))
    other.reserve(piece.keys)
    other.read_piece(words[: piece.words], bytes_[: piece.text_bytes], piece.keys)
    other.restored(Taken(np.array([0, piece.keys]), np.array([[stop]])))
    again = data.draw(st.integers(0, stop))
    rows.advance(other, again, stop)  # read again after a crash: in the state already
    rows.advance(other, stop, len(drawn))
    got = rows.out[stop : len(drawn), FIRST:]
    np.testing.assert_allclose(got, expected(drawn, rows)[stop:], rtol=1e-9, atol=1e-12)
