"""Segments: none overlaps another, what was given back is used again, and the bound is kept."""

import mmap

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arena import Arena, allocate, class_entries, class_of, release
from features.memory_bound import Holding, MemoryBound

STEPS = st.lists(st.tuples(st.sampled_from(["take", "give"]), st.integers(0, 6)), max_size=80)
WORDS = 3


def arena(bytes_max: int) -> Arena:
    return Arena(Holding("customer", MemoryBound(bytes_max)))


def test_a_class_is_the_smallest_that_holds_its_entries() -> None:
    assert [class_entries(class_of(n)) for n in (1, 4, 5, 8, 9, 1000, 1024)] == [4, 4, 8, 8, 16, 1024, 1024]


@settings(max_examples=60)
@given(steps=STEPS)
def test_segments_in_use_never_overlap(steps: list[tuple[str, int]]) -> None:
    made, held, stamp = arena(1 << 28), {}, 0
    for what, number in steps:
        if what == "take":
            segment, stamp = int(allocate(made.address, made.meta_address, number, WORDS)), stamp + 1
            assert segment >= 0
            made.words[segment : segment + class_entries(number) * WORDS] = stamp
            held[segment] = (number, stamp)
        elif held:
            segment = sorted(held)[number % len(held)]
            release(made.address, made.meta_address, segment, held.pop(segment)[0])
        for segment, (size_class, mark) in held.items():
            assert (made.words[segment : segment + class_entries(size_class) * WORDS] == mark).all()


def test_what_was_given_back_is_handed_out_again_to_its_class_alone() -> None:
    made = arena(1 << 20)
    first, second = (int(allocate(made.address, made.meta_address, 2, WORDS)) for _ in range(2))
    used = made.used_bytes
    for segment in (first, second):
        release(made.address, made.meta_address, segment, 2)
    assert int(allocate(made.address, made.meta_address, 1, WORDS)) not in (first, second)
    assert made.used_bytes > used
    used = made.used_bytes
    assert {int(allocate(made.address, made.meta_address, 2, WORDS)) for _ in range(2)} == {first, second}
    assert made.used_bytes == used


def test_it_hands_out_what_was_touched_up_to_the_bound_and_not_a_word_more() -> None:
    bytes_max = 64 * mmap.PAGESIZE
    made, segments = arena(bytes_max), 0
    while True:
        while int(allocate(made.address, made.meta_address, 0, WORDS)) >= 0:
            segments += 1
            assert made.used_bytes <= made.touched_bytes <= bytes_max
        if not made.extend():
            break
    assert made.touched_bytes == bytes_max
    assert segments == bytes_max // 8 // (4 * WORDS)
    assert not np.any(made.words), "fresh memory is zero"
