"""Of a key's rows all but the newest are superseded, and leave the batcher once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batcher import Batcher
from pipeline.coalesce import Coalescer, superseded
from pipeline.rows import Rows

KEYS = [np.frombuffer(text, np.uint8) for text in (b"camera-1", b"camera-2", b"x")]
CAPACITY = 32


def rows_of(drawn) -> Rows:
    rows = Rows(CAPACITY, 1, reasons=1)
    rows.deadline_ns[:] = 2**62
    for slot, (key, time_ms) in enumerate(drawn):
        rows.event_time_ms[slot], rows.offset[slot] = time_ms, slot
        rows.key_length[slot] = -1 if key is None else len(KEYS[key])
        rows.key_address[slot] = 0 if key is None else KEYS[key].ctypes.data
    return rows


DRAWN = st.lists(st.tuples(st.none() | st.integers(0, 2), st.integers(0, 5)), max_size=CAPACITY)


@settings(max_examples=200)
@given(DRAWN, st.randoms())
def test_all_but_the_newest_of_each_key_are_superseded(drawn, random):
    rows = rows_of(drawn)
    slots = np.array(random.sample(range(len(drawn)), len(drawn)), np.int32)
    newest = {}
    for slot, (key, time_ms) in enumerate(drawn):
        name = ("none", slot) if key is None else key
        newest[name] = max(newest.get(name, (-1, -1)), (time_ms, slot))
    kept = {slot for _, slot in newest.values()}
    assert set(superseded(rows, slots).tolist()) == set(range(len(drawn))) - kept


class Cost:
    """A tier that takes so long that any load is overload."""

    def promised_ns(self, rows: int) -> int:
        return 10**9 * rows

    expected_ns = promised_ns


def test_they_leave_the_batcher_under_overload_alone_and_say_why():
    rows = rows_of([(0, 1), (0, 2), (1, 1), (0, 3)])
    batcher = Batcher(rows.deadline_ns, rows.priority, [Cost()], (1, 2))
    coalescer = Coalescer(rows, batcher, 0)
    batcher.offer(np.arange(4, dtype=np.int32))
    assert not len(coalescer.superseded())
    batcher.overloaded = True
    assert sorted(coalescer.superseded().tolist()) == [0, 1]
    assert sorted(batcher.waiting().tolist()) == [2, 3]
    assert np.isfinite(rows.reasons[:, 0]).tolist()[:4] == [True, True, False, False]
    assert not len(coalescer.superseded())
    assert not len(Coalescer(rows, batcher, -1).superseded())
