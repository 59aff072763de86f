"""Law 5 over checkpoints: written in pieces while events go on, restored and read on from there, the same bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_windows import GLOBAL, INPUTS, LOCAL, columns_of
from window_model import Event

from features.catalog import Catalog
from features.seen import Taken
from features.state import FeatureSet
from pipeline.state.slicing import Range, Stored, stale_files, steps

PANED = {
    "count": ("count", None, 8, 0, None),
    "mean": ("mean", "amount", 16, 0, None),
    "most": ("max", "weight", 8, 0, None),
}
BYTES_MAX = 1 << 22


def paned() -> FeatureSet:
    features = {
        name: {"entity": "customer", "aggregate": aggregate, "span": f"{span}ms"}
        | ({"field": field} if field else {})
        for name, (aggregate, field, span, _, _) in PANED.items()
    }
    entities = {"customer": {"key": "customer", "lateness": "6ms", "keys_expected": 1, "panes": 4}}
    return FeatureSet(Catalog.model_validate({"inputs": INPUTS, "entities": entities, "features": features}))


SETS = {"exact": (LOCAL, "customer"), "paned": (paned(), "customer"), "global": (GLOBAL, "terminal")}
EVENT = st.builds(
    Event,
    st.integers(0, 120),
    st.integers(0, 9),
    st.integers(-(10**6), 10**6),
    st.floats(-1e6, 1e6),
    st.integers(0, 2),
)


class Tape:
    """Events with offsets of their partitions, taken into states in order; partition 0 alone for local entities."""

    def __init__(self, features: FeatureSet, key: str, drawn: list[Event], text: bool) -> None:
        self.features, self.shared = features, key == "terminal"
        ends: dict[int, int] = {}
        self.events = []
        for event in drawn:
            partition = event.partition if self.shared else 0
            offset = ends.get(partition, 0)
            ends[partition] = offset + 1
            self.events.append(Event(event.time_ms, event.key, event.units, event.weight, partition, offset))
        self.columns = columns_of(features, self.events, key, text)

    def state_of(self, state):
        return state.entities(None if self.shared else 0)[("customer", "terminal")[self.shared]]

    def take(self, state, indices, out=None) -> None:
        for index in indices:
            event = self.events[index]
            state.apply(
                "events",
                self.columns,
                np.array([index], np.int32),
                np.array([event.partition], np.int32),
                np.array([event.offset], np.int64),
                out64=out,
            )

    def positions(self, count: int) -> np.ndarray:
        found = np.zeros(3, np.int64)
        for event in self.events[:count]:
            found[event.partition] = event.offset + 1
        return found


def checkpoint(tape: Tape, state, known, done: int, pauses, words: int):
    """Write a checkpoint from event `done` on, taking some more events between steps; what is stored, how far."""
    entity = tape.state_of(state)
    stored, contents, cuts = [], {}, []
    pauses = iter(pauses)
    for step in steps(entity, [k for k, _ in known.values()], set()):
        parts = [step] if isinstance(step, Stored) else []
        at, stop = (0, 0) if parts else (step.first, step.stop)
        while at < stop or parts:
            if parts:
                piece, content = parts.pop(), None
                content = known[piece.piece.first][1]
            else:
                buffers = np.empty(words, np.int64), np.empty(words * 8, np.uint8)
                written = entity.write_piece(at, stop, *buffers)
                if not written.keys:
                    buffers = np.empty(written.words, np.int64), np.empty(max(1, written.text_bytes), np.uint8)
                    written = entity.write_piece(at, stop, *buffers)
                content = buffers[0][: written.words], buffers[1][: written.text_bytes]
                piece = Stored(written, "file", 0, 0)
                at += written.keys
            stored.append(piece)
            contents[piece.piece.first] = (piece, content)
            cuts.append(tape.positions(done))
            more = min(next(pauses, 0), len(tape.events) - done)
            tape.take(state, range(done, done + more))
            done += more
    return contents, stored, cuts, done


def restored(tape: Tape, contents, stored, cuts):
    state = tape.features.new_state(BYTES_MAX)
    entity = tape.state_of(state)
    entity.reserve(sum(s.piece.keys for s in stored))
    for s in stored:
        words, text = contents[s.piece.first][1]
        entity.read_piece(np.ascontiguousarray(words), np.ascontiguousarray(text), s.piece.keys)
    starts = np.array([0, *np.cumsum([s.piece.keys for s in stored])], np.int64)
    if cuts:
        entity.restored(Taken(starts, np.array(cuts, np.int64)))
    return state


@pytest.mark.parametrize("kind", list(SETS))
@settings(max_examples=60)
@given(
    drawn=st.lists(EVENT, min_size=1, max_size=60),
    begin=st.integers(0, 30),
    pauses=st.lists(st.integers(0, 4), max_size=12),
    again=st.integers(0, 20),
    words=st.integers(1, 200),
    text=st.booleans(),
)
def test_a_state_from_a_checkpoint_answers_as_one_that_never_stopped(
    kind: str, drawn: list[Event], begin: int, pauses: list[int], again: int, words: int, text: bool
) -> None:
    features, key = SETS[kind]
    tape = Tape(features, key, drawn, text)
    undisturbed = np.full((len(drawn), len(features.names)), np.nan)
    tape.take(features.new_state(BYTES_MAX), range(len(drawn)), undisturbed)
    state = features.new_state(BYTES_MAX)
    done = min(begin, len(drawn))
    tape.take(state, range(done))
    contents, stored, cuts, done = checkpoint(tape, state, {}, done, pauses, words)
    more = min(again, len(drawn) - done)
    tape.take(state, range(done, done + more))
    contents, stored, cuts, done = checkpoint(tape, state, contents, done + more, pauses, words)
    copy = restored(tape, contents, stored, cuts)
    since = np.min(cuts, axis=0) if cuts else np.zeros(3, np.int64)
    behind = [i for i in range(done) if tape.events[i].offset >= since[tape.events[i].partition]]
    tape.take(copy, behind)
    answers = np.full_like(undisturbed, np.nan)
    tape.take(copy, range(done, len(drawn)), answers)
    np.testing.assert_array_equal(answers[done:].view(np.int64), undisturbed[done:].view(np.int64))
    assert tape.state_of(copy).keys == tape.state_of(state).keys or done < len(drawn)


def test_what_a_restored_key_has_taken_is_asked_for_but_not_taken_again() -> None:
    tape = Tape(LOCAL, "customer", [Event(t, 1, 100, 1.0) for t in range(5)], False)
    state = LOCAL.new_state(BYTES_MAX)
    tape.take(state, range(5))
    contents, stored, cuts, _ = checkpoint(tape, state, {}, 5, [], 100)
    copy = restored(tape, contents, stored, cuts)
    out = np.zeros((5, len(LOCAL.names)))
    tape.take(copy, range(5), out)
    assert out[:, LOCAL.names.index("count")].tolist() == [1, 2, 3, 4, 5]


def test_unchanged_pieces_stay_where_they_lie_and_new_keys_are_written() -> None:
    tape = Tape(LOCAL, "customer", [Event(t, t % 4, 100, 1.0) for t in range(9)], False)
    state = LOCAL.new_state(BYTES_MAX)
    tape.take(state, range(4))
    _, stored, _, _ = checkpoint(tape, state, {}, 4, [], 12)
    assert [s.piece.first for s in stored] == [0, 1, 2, 3]
    tape.take(state, [6])  # key 2
    again = list(steps(tape.state_of(state), stored, set()))
    assert again == [stored[0], stored[1], Range(2, 3), stored[3]]


def test_pieces_of_files_that_are_mostly_dead_are_written_anew() -> None:
    tape = Tape(LOCAL, "customer", [Event(t, t, 100, 1.0) for t in range(4)], False)
    state = LOCAL.new_state(BYTES_MAX)
    tape.take(state, range(4))
    _, stored, _, _ = checkpoint(tape, state, {}, 4, [], 12)
    size = stored[0].size_bytes
    assert stale_files(stored, {"file": 4 * size}) == set()
    assert stale_files(stored[:1], {"file": 4 * size}) == {"file"}
    assert [type(s) for s in steps(tape.state_of(state), stored, {"file"})] == [Range] * 4
