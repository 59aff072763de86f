"""Answers given again: of the same tier, young enough, the likest; never more kept than the limits say."""

import numpy as np

from pipeline.reuse import CAMERAS_MAX, Answer, Reuse, ReuseLimits

PROBABILITIES, MEASURES = np.array([0.9, 0.1], np.float32), np.zeros(4)


def made(
    exact_rows: int = 3, near_rows: int = 2, near_bits: int = 2, age_ns_max: int = 100
) -> tuple[Reuse, list[int]]:
    now = [0]
    return Reuse(ReuseLimits(exact_rows, near_rows, near_bits, age_ns_max), lambda: now[0]), now


def answer(picture: int = 0, at_ns: int = 0, tier: int = 0) -> Answer:
    return Answer(tier, PROBABILITIES, MEASURES, picture, at_ns)


def test_the_same_bytes_get_the_same_tiers_answer_while_it_is_young():
    reuse, now = made()
    reuse.keep((1, 2), b"c", answer())
    assert reuse.same(0, (1, 2)) is not None
    assert reuse.same(1, (1, 2)) is None
    assert reuse.same(0, (1, 3)) is None
    now[0] = 101
    assert reuse.same(0, (1, 2)) is None
    assert reuse.exact_hits == 1


def test_the_bytes_that_were_asked_for_longest_ago_are_forgotten_first():
    reuse, _ = made(exact_rows=2)
    for number in (1, 2):
        reuse.keep((number, 0), b"c", answer())
    assert reuse.same(0, (1, 0)) is not None
    reuse.keep((3, 0), b"c", answer())
    assert [reuse.same(0, (number, 0)) is not None for number in (1, 2, 3)] == [True, False, True]


def test_the_likest_late_picture_of_the_same_camera_answers():
    reuse, _ = made()
    reuse.keep(None, b"c", answer(0b0111))
    reuse.keep(None, b"c", answer(0b0001))
    found = reuse.like(0, b"c", 0b0000)
    assert found is not None
    assert (found[0].perceptual_hash, found[1]) == (0b0001, 1)
    assert reuse.like(0, b"d", 0) is None
    assert reuse.like(1, b"c", 0) is None
    assert reuse.like(0, b"c", 0b11111000) is None
    reuse.keep(None, b"c", answer(2**40))
    reuse.keep(None, b"c", answer(2**41))  # only the last two are looked at
    assert reuse.like(0, b"c", 0b0001 | 2**50) is None


def test_pictures_are_kept_of_so_many_cameras_whatever_keys_arrive():
    reuse, _ = made()
    for camera in range(CAMERAS_MAX + 1):
        reuse.keep(None, b"%d" % camera, answer())
    assert reuse.like(0, b"0", 0) is None
    assert reuse.like(0, b"1", 0) is not None


def test_what_is_not_wanted_is_not_kept():
    reuse, _ = made(exact_rows=0, near_bits=-1)
    reuse.keep((1, 2), b"c", answer())
    assert (reuse.wants_payloads, reuse.wants_pictures) == (False, False)
    assert reuse.same(0, (1, 2)) is None
