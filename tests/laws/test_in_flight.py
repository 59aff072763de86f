"""Rows in flight: each record's slot and memory is freed once, in claim order; nothing abandoned goes out."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.in_flight import CHUNKS_MAX, InFlight
from pipeline.rows import Rows

CAPACITY = 16


class At(NamedTuple):
    topic: str
    partition: int


PARTITIONS = [At("t", 0), At("t", 1), At("t", 2)]


@dataclass
class Memory:
    """A read's messages, which say when they were freed and must be freed once."""

    number: int
    rows: int
    log: list[int]

    @property
    def pointers(self):
        return np.arange(self.rows, dtype=np.int64) + 1000 * self.number

    def free(self) -> None:
        self.log.append(self.number)


@dataclass
class Read:
    """What the test knows of a run of rows."""

    number: int
    partition: At
    chunk: object
    end: int
    pending: set[int] = field(default_factory=set)
    abandoned: bool = False
    forgotten: bool = False


class Model:
    """The rows in flight, kept plainly beside the real ones."""

    def __init__(self) -> None:
        self.rows = Rows(CAPACITY, features=1)
        self.in_flight = InFlight(self.rows)
        self.reads: list[Read] = []
        self.freed: list[int] = []
        self.ends = dict.fromkeys(PARTITIONS, 0)

    def open(self, partition: At, wanted: int) -> None:
        wanted = min(wanted, self.in_flight.room())
        if not wanted:
            return
        self.ends[partition] += wanted
        memory = Memory(len(self.reads), wanted, self.freed)
        chunk = self.in_flight.open(partition, memory, wanted, self.ends[partition])
        slots = set(range(chunk.first, chunk.first + wanted))
        assert not slots & self.pending()
        self.reads.append(Read(memory.number, partition, chunk, self.ends[partition], slots))
        assert (self.rows.partition[list(slots)] == partition.partition).all()

    def pending(self) -> set[int]:
        return {slot for read in self.reads for slot in read.pending}

    def settle(self, slots: list[int]) -> None:
        self.in_flight.settle(np.array(slots, np.int64))
        self._ended(slots)

    def _ended(self, slots: list[int]) -> None:
        for read in self.reads:
            read.pending -= set(slots)

    def revoke(self, partition: At) -> None:
        living = self.in_flight.abandon({partition})
        self.in_flight.watermarks.forget(partition)
        for read in self.reads:
            for slot in read.pending:
                assert living[slot] == (read.partition != partition)
            read.forgotten |= read.partition == partition
            read.abandoned |= read.partition == partition and read.number not in self.freed

    def score(self, slots: list[int]) -> None:
        living = self.in_flight.living(np.array(slots, np.int32)).tolist()
        dead = {slot for read in self.reads if read.abandoned for slot in read.pending & set(slots)}
        assert living == [slot for slot in slots if slot not in dead]
        self._ended(sorted(dead))

    def check(self) -> None:
        self.in_flight.free_settled()
        done = 0
        while done < len(self.reads) and not self.reads[done].pending:
            done += 1
        assert self.freed == list(range(done))
        assert (self.in_flight.used_rows == 0) == (done == len(self.reads))
        for read in self.reads[done:]:
            slot = read.chunk.first
            assert self.in_flight.pointer_of(slot) == 1000 * read.number
        for partition in PARTITIONS:
            self._check_watermark(partition)

    def _check_watermark(self, partition: At) -> None:
        expected, unfinished = None, 0
        for read in self.reads:
            if read.partition == partition and not read.forgotten:
                unfinished += len(read.pending)
                expected = read.end if not unfinished else expected
        assert self.in_flight.watermarks.watermark(partition) == expected
        assert self.in_flight.watermarks.unfinished_rows(partition) == unfinished


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from(PARTITIONS), st.integers(1, 7)),
        st.tuples(st.just("settle"), st.randoms(use_true_random=False), st.integers(1, 9)),
        st.tuples(st.just("score"), st.randoms(use_true_random=False), st.integers(1, 9)),
        st.tuples(st.just("revoke"), st.sampled_from(PARTITIONS), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(steps=STEPS)
def test_all_is_freed_once_in_claim_order_and_watermarks_move_each_on_its_own(steps):
    model = Model()
    for what, which, many in steps:
        if what == "open":
            model.open(which, many)
        elif what == "revoke":
            model.revoke(which)
        else:
            pending = sorted(model.pending())
            slots = which.sample(pending, min(many, len(pending)))
            (model.settle if what == "settle" else model.score)(slots)
        model.check()
    model.settle(sorted(model.pending()))
    model.check()
    assert model.in_flight.room() == CAPACITY
    assert model.freed == list(range(len(model.reads)))


def test_a_row_delivered_twice_is_an_error_and_not_a_wrong_count():
    rows = Rows(CAPACITY, features=1)
    in_flight = InFlight(rows)
    in_flight.open(PARTITIONS[0], Memory(0, 2, []), 2, 2)
    in_flight.settle(np.array([0, 1]))
    with pytest.raises(RuntimeError, match="chunk 0: 1 rows settled that were not in flight"):
        in_flight.settle(np.array([1]))
    in_flight.free_settled()
    with pytest.raises(RuntimeError, match="not in flight"):
        in_flight.settle(np.array([1]))
    with pytest.raises(RuntimeError, match="slot 1 is not in flight"):
        in_flight.pointer_of(1)


def test_a_number_used_again_is_not_abandoned_and_one_in_use_is_not_taken():
    in_flight = InFlight(Rows(CHUNKS_MAX + 1, features=1))
    in_flight.open(PARTITIONS[0], Memory(0, 1, []), 1, 1)
    in_flight.abandon({PARTITIONS[0]})
    assert in_flight.living(np.array([0], np.int32)).tolist() == []
    in_flight.free_settled()
    for number in range(1, CHUNKS_MAX + 1):
        chunk = in_flight.open(PARTITIONS[0], Memory(number, 1, []), 1, number + 1)
    assert chunk.number == 0
    assert in_flight.living(np.array([chunk.first], np.int32)).tolist() == [chunk.first]
    assert in_flight.room() == 0
