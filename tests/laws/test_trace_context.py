"""A traceparent is taken where the standard says that it is one, and passed on as version 00; all else is counted."""

import re
from collections.abc import Sequence

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.kafka.headers import ABSENT, NO_VALUE, TWICE
from pipeline.rows import Rows
from pipeline.wire.trace_context import CARRIED, INVALID, STATE_DROPPED, take_contexts

PLAIN = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
VALID = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
HEX = st.sampled_from(b"0123456789abcdef")


def mended(text: bytes) -> bytes | None:
    """What is passed on of a header, written as the standard's own words and nothing else."""
    found = VALID.fullmatch(text)
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    return b"00-%s-%s-%02x" % (found[2], found[3], int(found[4], 16) & 3)


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """A traceparent with a byte or two replaced, cut short or prolonged."""
    text = bytearray(PLAIN)
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 54), st.integers(0, 255) | HEX), max_size=3)):
        text[at] = byte
    for first, stop in draw(st.lists(st.sampled_from([(3, 35), (36, 52)]), max_size=2)):
        text[first:stop] = b"0" * (stop - first)
    cut = draw(st.integers(0, 60))
    return bytes(text[:cut]) if cut < 55 else bytes(text) + draw(st.binary(max_size=4) | st.just(b"-x"))


Found = tuple[bytes | int, bytes | int]


def taken(headers: Sequence[Found], first: int = 0) -> tuple[Rows, list[int]]:
    rows = Rows(first + len(headers), 1, traced=True)
    rows.traceparent[:] = 7
    owners = [
        [np.frombuffer(each + b"!", np.uint8) if isinstance(each, bytes) else each for each in pair]
        for pair in headers
    ]
    address = np.array(
        [[getattr(each, "ctypes", 0) and each.ctypes.data for each in pair] for pair in owners], np.int64
    )
    length = np.array([[each if isinstance(each, int) else len(each) for each in pair] for pair in headers], np.int64)
    counts = np.zeros(3, np.int64)
    turned = [np.ascontiguousarray(each.reshape(-1, 2).T) for each in (address, length)]
    take_contexts(turned[0], turned[1], first, rows.traceparent, rows.header_address, rows.header_length, counts)
    rows.keep = owners  # type: ignore[attr-defined]
    return rows, counts.tolist()


def text_of(rows: Rows, row: int) -> bytes | None:
    text = rows.traceparent[row]
    return bytes(text[:55]) if text[0] else None


@given(nearly())
@example(PLAIN)
@example(PLAIN.upper())
@example(b"ff" + PLAIN[2:])
@example(b"01" + PLAIN[2:] + b"-later")
@example(b"01" + PLAIN[2:] + b".later")
@example(PLAIN + b"-later")
@example(PLAIN[:-2] + b"ff")
def test_what_is_taken_is_what_the_standard_calls_one(text: bytes) -> None:
    rows, counts = taken([(text, ABSENT)], first=2)
    assert text_of(rows, 2) == mended(text)
    assert counts[CARRIED] + counts[INVALID] == 1
    assert counts[INVALID] == (mended(text) is None)


def test_none_is_not_counted_and_one_that_stands_twice_or_is_null_is_none() -> None:
    rows, counts = taken([(ABSENT, b"a=1"), (TWICE, ABSENT), (NO_VALUE, b"a=1"), (PLAIN, ABSENT)])
    assert [text_of(rows, row) is None for row in range(4)] == [True, True, True, False]
    assert counts == [1, 2, 0]
    assert rows.header_length[:, :3].tolist() == [[-1] * 3] * 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from([PLAIN, b"", b"x"]),
            st.binary(max_size=6) | st.sampled_from([ABSENT, TWICE, b"a" * 512, b"a" * 513]),
        )
    )
)
def test_a_tracestate_goes_with_a_traceparent_that_is_one_or_not_at_all(headers: list[Found]) -> None:
    rows, counts = taken(headers)
    dropped = 0
    for row, (parent, state) in enumerate(headers):
        good = isinstance(state, bytes) and len(state) <= 512 and all(0x20 <= b <= 0x7E or b == 9 for b in state)
        carried = parent == PLAIN and good and state != b""
        assert (rows.header_length[1, row] >= 0) == carried
        dropped += parent == PLAIN and not good and state != ABSENT
        assert (rows.header_length[0, row] == 55) == (parent == PLAIN)
    assert counts[STATE_DROPPED] == dropped
