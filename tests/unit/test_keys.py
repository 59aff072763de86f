"""A table of keys is a dictionary: one index a key, in the order they came, whatever collides, however it grows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.keys import ABSENT, FULL, Keys, find_key
from features.schema import NUMBER

KEY = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 40), st.binary(max_size=40))


class Table:
    """Keys that grow when they are full."""

    def __init__(self, expected: int = 1) -> None:
        self.keys = Keys(expected)

    def try_find(self, key: int | bytes, add: bool) -> int:
        k = self.keys
        text = np.frombuffer(key + b"!", np.uint8) if isinstance(key, bytes) else None
        value, length = (text.ctypes.data, len(key)) if text is not None else (key, NUMBER)
        return int(find_key(value, length, add, k.table, k.keys, k.lengths, k.text, k.meta))

    def find(self, key: int | bytes, add: bool = True) -> int:
        while (index := self.try_find(key, add)) == FULL:
            if self.keys.count == self.keys.capacity:
                self.keys.grow()
            else:
                self.keys.grow_text()
        return index


@settings(max_examples=100)
@given(asked=st.lists(st.tuples(KEY, st.booleans()), max_size=150))
def test_a_table_is_a_dictionary(asked: list[tuple[int | bytes, bool]]) -> None:
    table, known = Table(), {}
    for key, add in asked:
        if add:
            known.setdefault(key, len(known))
        assert table.find(key, add) == known.get(key, ABSENT)
    assert table.keys.count == len(known)
    assert {key: table.find(key, add=False) for key in known} == known


def test_a_number_and_its_digits_are_different_keys() -> None:
    table = Table()
    assert [table.find(key) for key in (12, b"12", b"", 0, b"\0", 12)] == [0, 1, 2, 3, 4, 0]


def test_a_full_table_takes_nothing_and_forgets_nothing_when_it_grows() -> None:
    table = Table()
    capacity = table.keys.capacity
    assert [table.try_find(number, True) for number in range(capacity)] == list(range(capacity))
    assert table.try_find(capacity, True) == FULL
    assert table.try_find(capacity, False) == ABSENT
    before = table.keys.table_bytes
    table.keys.grow()
    assert table.keys.table_bytes == 2 * before
    assert table.find(capacity) == capacity
    assert [table.find(number, add=False) for number in range(capacity)] == list(range(capacity))


def test_room_for_text_is_asked_for_before_it_is_used() -> None:
    table = Table(expected=64)
    room = table.keys.text_bytes
    assert table.find(bytes(room)) == 0
    assert table.try_find(b"x", True) == FULL
    assert table.keys.count == 1
    table.keys.grow_text()
    assert table.find(b"x") == 1
    assert table.find(bytes(room), add=False) == 0
    assert table.keys.used_bytes() == table.keys.table_bytes + 2 * room


def test_nobody_can_know_where_a_key_will_be() -> None:
    assert len({int(Keys(1).meta[2]) for _ in range(8)}) == 8
