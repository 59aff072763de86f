"""A score by remembered state is the score by the card's whole history, however its events come in batches."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import Columns
from features.memory_bound import MemoryBound
from features.model_state import ModelState, ModelStatePlan
from features.model_state_kernel import waves_of
from features.schema import NUMBER, EventField, Schema
from features.seen import Taken
from models.recurrent_session import RecurrentSession
from models.repository import Repository
from models.session import CPU
from pipeline.recurrence import Recurrence
from tests.recurrent_models import NAME, by_card, random_weights, write_model

FEATURES, HIDDEN, ROWS_MAX = 3, 5, 16
WEIGHTS = random_weights(FEATURES, HIDDEN)
PLAN = ModelStatePlan("primary", "card", 0, 1, HIDDEN, "")
SCHEMA = Schema(fields={"card": EventField(type="id")})
CARDS = st.lists(st.integers(0, 6), max_size=120)
BYTES = 1 << 22


class Tape:
    """Events of cards in order, as the arrays that the state takes."""

    session = None

    def __init__(self, cards, text, tmp) -> None:
        n = max(1, len(cards))
        if Tape.session is None:
            names = [f"f{number}" for number in range(FEATURES)]
            entry = Repository(write_model(tmp.mktemp("models"), WEIGHTS, names)).load(NAME, "1")
            Tape.session = RecurrentSession(entry, providers=[CPU], buckets=[1, ROWS_MAX], feature_names=names)
        self.cards, self.columns, self.keep = cards, Columns(SCHEMA, n), []
        random = np.random.default_rng(len(cards))
        self.rows = random.uniform(-1, 4, (n, FEATURES)).astype(np.float32)
        self.score = np.full(n, np.nan, np.float32)
        for row, card in enumerate(cards):
            self.columns.value[0, row], self.columns.length[0, row] = card, NUMBER
            if text:
                self.keep.append(np.frombuffer(b"card-%d" % card, np.uint8))
                self.columns.value[0, row], self.columns.length[0, row] = self.keep[-1].ctypes.data, 6

    def recurrence(self):
        return Recurrence(PLAN, Tape.session, FEATURES, ROWS_MAX)

    def take(self, state, recurrence, first, stop) -> None:
        at = np.arange(first, stop, dtype=np.int32)
        blocks = np.empty(len(at), np.int64)
        state.find(self.columns, at, blocks)
        recurrence.score(self.rows, at, blocks, at.astype(np.int64), self.score)

    def expected(self):
        return by_card(WEIGHTS, self.rows[: len(self.cards)], self.cards)


@settings(max_examples=60, deadline=None)
@given(CARDS, st.integers(1, 40), st.booleans())
def test_every_score_is_that_of_the_whole_history(tmp_path_factory, cards, cut, text):
    tape, state = Tape(cards, text, tmp_path_factory), ModelState(PLAN, MemoryBound(BYTES))
    recurrence = tape.recurrence()
    for first in range(0, len(cards), cut):
        tape.take(state, recurrence, first, min(first + cut, len(cards)))
    np.testing.assert_allclose(tape.score[: len(cards)], tape.expected(), atol=1e-5)
    assert state.keys == len(set(cards))
    assert recurrence.counts() == {
        "model_state_taken/primary": len(cards),
        "model_state_disordered/primary": 0,
        "model_state_not_finite/primary": 0,
    }


@settings(max_examples=40, deadline=None)
@given(CARDS.filter(bool), st.data(), st.booleans())
def test_restored_it_takes_no_event_twice_and_none_is_lost(tmp_path_factory, cards, data, text):
    """Pieces are written while events go on; all is read again from where the first of them was begun, or before."""
    tape, state = Tape(cards, text, tmp_path_factory), ModelState(PLAN, MemoryBound(BYTES))
    recurrence = tape.recurrence()
    begun = data.draw(st.integers(0, len(cards)))
    tape.take(state, recurrence, 0, begun)
    other, at, first = ModelState(PLAN, MemoryBound(BYTES)), begun, 0
    words, bytes_ = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.uint8)
    starts, offsets = [0], []
    while first < state.keys:
        stop = data.draw(st.integers(first + 1, state.keys))
        piece = state.write_piece(first, stop, words, bytes_)
        other.reserve(piece.keys)
        other.read_piece(words[: piece.words], bytes_[: piece.text_bytes], piece.keys)
        assert not state.changed(first, stop)
        first += piece.keys
        starts.append(first)
        offsets.append([at])
        more = data.draw(st.integers(at, len(cards)))
        tape.take(state, recurrence, at, more)
        at = more
    other.restored(Taken(np.array(starts), np.array(offsets, np.int64).reshape(-1, 1)))
    tape.take(state, recurrence, at, len(cards))
    undisturbed = tape.score[: len(cards)].copy()
    np.testing.assert_allclose(undisturbed, tape.expected(), atol=1e-5)
    tape.take(other, tape.recurrence(), data.draw(st.integers(0, begun)), len(cards))
    left_over = other.keys
    np.testing.assert_allclose(tape.score[at : len(cards)], undisturbed[at:], atol=1e-6)
    assert left_over == state.keys


@settings(max_examples=100)
@given(st.lists(st.integers(1, 9), max_size=60))
def test_waves_have_each_block_once_and_keep_its_rows_in_order(blocks):
    n = len(blocks)
    order, starts, wave = np.full(n, -1, np.int32), np.full(n + 1, -1, np.int32), np.zeros(n, np.int32)
    table = np.zeros(1 << (2 * max(1, n) - 1).bit_length(), np.int32)
    waves = waves_of(np.array(blocks, np.int64) * 1000, order, starts, wave, table)
    assert sorted(order.tolist()) == list(range(n))
    assert waves == max((blocks.count(block) for block in blocks), default=0)
    seen = []
    for number in range(waves):
        own = order[starts[number] : starts[number + 1]].tolist()
        assert len({blocks[row] for row in own}) == len(own) > 0
        seen += own
    for block in set(blocks):
        rows = [row for row in seen if blocks[row] == block]
        assert rows == sorted(rows)
    assert waves == 0 or starts[waves] == n


class Broken:
    """A model that gives no numbers for every event whose first feature is negative."""

    def step(self, rows, state, out, state_next) -> None:
        out[:] = state[:, 0]
        state_next[:] = state + np.where(rows[:, :1] < 0, np.nan, 1).astype(np.float32)


def test_a_state_that_is_no_number_is_not_taken_and_counted(tmp_path_factory):
    tape, state = Tape([1, 1, 1, 2], False, tmp_path_factory), ModelState(PLAN, MemoryBound(BYTES))
    tape.rows[:, 0] = [1, -1, 1, -1]
    recurrence = Recurrence(PLAN, Broken(), FEATURES, ROWS_MAX)
    tape.take(state, recurrence, 0, 4)
    assert tape.score.tolist() == [0, 1, 1, 0]
    assert recurrence.counts()["model_state_not_finite/primary"] == 2


def test_an_event_older_than_what_was_taken_is_scored_and_leaves_no_trace(tmp_path_factory):
    tape, state = Tape([1, 1, 1], False, tmp_path_factory), ModelState(PLAN, MemoryBound(BYTES))
    tape.rows[:, 0] = 1
    recurrence = Recurrence(PLAN, Broken(), FEATURES, ROWS_MAX)
    for first in (0, 2, 1, 0):
        tape.take(state, recurrence, first, first + 1)
    assert tape.score.tolist() == [2, 2, 1]
    assert recurrence.counts()["model_state_disordered/primary"] == 2
