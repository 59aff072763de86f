"""The fast path against the safe one: what it accepts is valid, with the same values, and nothing else is read."""

import ctypes
import json
import mmap
import random
import struct

import numpy as np
import pytest

from features.columns import Columns
from features.schema import NULL, NUMBER, EventField, FieldType, Schema
from pipeline.wire.event_fast import GOOD, PlainForm, decode_plain
from pipeline.wire.event_safe import BadEventError, decode_safe

SCHEMA = Schema(
    fields={
        "transaction_id": EventField(type="id"),
        "event_time": EventField(type="time"),
        "n": EventField(type="int", required=False),
        "amount": EventField(type="decimal", decimals=2),
        "rate": EventField(type="float", required=False),
        "fraud": EventField(type="bool", required=False),
        "merchant": EventField(type="string", required=False, length_max=12),
        "größe": EventField(type="id", required=False, length_max=8),
    }
)
TOKENS = [
    *(b"0", b"-0", b"-0.0", b"00", b"01", b"-", b"1.", b".5", b"+1", b"5.0", b"1e5", b"1E-2", b"1e400", b"NaN"),
    *(b"Infinity", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"1" * 20),
    *(b"57.159999999999997", b"0.125", b"2.675", b"12.345678", b"999999999999999", b"0.000001", b"1" * 400),
    *(b"true", b"false", b"null", b"tru", b"nulll", b'""', b'"a"', b'"\\u0041"', b'"\\ud800"', b'"\\n"', b'"\x01"'),
    *('"é"'.encode(), '"日本"'.encode(), b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\x7f"'),
    *(b'"2018-04-01T00:00:31Z"', b'"2018-04-01T00:00:31.9996+02:00"', b'"2018-02-29T00:00:00Z"', b'"\xff"'),
    *(b'"2016-12-31T23:59:60Z"', b'"2000-02-29t23:59:59z"', b'"0000-01-01T00:00:00Z"', b'"2018-04-01T00:00:31"'),
    *(b"{}", b"[]", b'{"a":1}', b'{"a":1,"a":2}', b"[[[1]]]", b" ", b"\t\r\n", b"\x0b", b",", b":", b"{", b"}"),
    *(b'"n":1', b',"n":1', b'"x":2,', b',"amount":1', b'"\\u006e":3', b',"fraud":true', b'"'),
]


def _event(rng: random.Random) -> bytes:
    amount = round(rng.lognormvariate(3, 1), rng.randrange(4))
    event: dict[str, object] = {
        "transaction_id": rng.choice([rng.randrange(10**6), rng.getrandbits(62), f"t-{rng.randrange(99)}"]),
        "event_time": rng.choice([1522540831000 + rng.randrange(10**9), "2018-04-01T00:00:31.250Z"]),
        "amount": amount,
    }
    optional = {
        "n": rng.choice([rng.randrange(-99, 99), rng.getrandbits(63), None]),
        "rate": rng.choice([rng.random(), rng.randrange(9) / 8, -rng.randrange(3)]),
        "fraud": rng.choice([True, False, None]),
        "merchant": rng.choice(["", "shop", "café", "a longer name than allowed", 'quo"te']),
        "größe": rng.choice([7, "xl", None]),
        "unknown": rng.choice([1, "u", None, True, 1.5, [1], {"a": {"b": 2}}]),
    }
    event |= {name: value for name, value in optional.items() if rng.random() < 0.5}
    names = list(event)
    if rng.random() < 0.3:
        rng.shuffle(names)
    return json.dumps(
        {name: event[name] for name in names},
        separators=rng.choice([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]),
        ensure_ascii=rng.random() < 0.2,
    ).encode()


def _mutated(rng: random.Random, raw: bytes) -> bytes:
    out = bytearray(raw)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] = rng.randrange(256)
        elif kind == 1:
            del out[at : at + rng.randrange(1, 6)]
        elif kind == 2:
            out[at:at] = rng.choice(TOKENS)
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            out[at:at] = out[at : at + rng.randrange(1, 30)]
        else:
            colon = out.find(b":", at)
            comma = out.find(b",", colon)
            if colon >= 0:
                out[colon + 1 : comma if comma > 0 else len(out) - 1] = rng.choice(TOKENS)
    return bytes(out[:4000])


class Guarded:
    """One readable page between two that end the process when they are touched."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 3 * mmap.PAGESIZE)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for page in (0, 2):
            assert protect(self._base + page * mmap.PAGESIZE, mmap.PAGESIZE, 0) == 0

    def place(self, raw: bytes, at_end: bool) -> int:
        address = self._base + mmap.PAGESIZE * (2 if at_end else 1) - (len(raw) if at_end else 0)
        ctypes.memmove(address, raw, len(raw))
        return address


class FastPath:
    def __init__(self) -> None:
        self.form = PlainForm(SCHEMA)
        self.columns = Columns(SCHEMA, 1)
        self._one = np.zeros((2, 1), np.int64)
        self._status = np.zeros(1, np.int8)

    def accepts(self, address: int, length: int) -> bool:
        self._one[:, 0] = address, length
        form, columns = self.form, self.columns
        decode_plain(
            *(self._one[0], self._one[1], 0, 1 << 20, form.tokens, form.table, form.unknown),
            *(columns.value, columns.length, self._status),
        )
        return bool(self._status[0] == GOOD)

    def cells(self) -> list[object]:
        found: list[object] = []
        for column in range(len(SCHEMA.fields)):
            value, length = int(self.columns.value[column, 0]), int(self.columns.length[column, 0])
            if length in (NULL, NUMBER):
                found.append(None if length == NULL else value)
            else:
                found.append(ctypes.string_at(value, length))
        return found


def _safe_cells(raw: bytes) -> list[object]:
    cells = []
    for cell, field in zip(decode_safe(raw, SCHEMA), SCHEMA.fields.values(), strict=True):
        number = cell.number
        if number is not None and field.code == FieldType.FLOAT:
            number = struct.unpack("<q", struct.pack("<d", number))[0]
        cells.append(cell.text if cell.text is not None else number)
    return cells


def _hold_equal(records: int, seed: int) -> None:
    rng, guarded, fast = random.Random(seed), Guarded(), FastPath()
    accepted = refused = 0
    for index in range(records):
        raw = _mutated(rng, _event(rng))
        if fast.accepts(guarded.place(raw, at_end=index % 2 == 0), len(raw)):
            accepted += 1
            try:
                expected = _safe_cells(raw)
            except BadEventError as error:
                pytest.fail(f"the fast path took {raw!r}, the safe one says {error.code}: {error}")
            assert fast.cells() == expected, raw
        else:
            try:
                decode_safe(raw, SCHEMA)
            except BadEventError:
                refused += 1
    # Neither side of the comparison may run dry.
    assert accepted > records // 20
    assert refused > records // 20


def test_the_paths_agree():
    _hold_equal(5_000, seed=1)


@pytest.mark.slow
def test_the_paths_agree_on_fifty_thousand():
    _hold_equal(50_000, seed=2)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(10, 20))
def test_the_paths_agree_on_a_million(seed):
    _hold_equal(100_000, seed)
