"""Fields in headers: the kernel takes what the safe path takes, with the same cells; the rest is told by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import Columns
from features.schema import NULL, NUMBER, EventField, Schema
from pipeline.decode import fill_row
from pipeline.kafka.headers import ABSENT, NO_VALUE, TWICE
from pipeline.wire.event_safe import BadEventError
from pipeline.wire.header_event import fill_plain, header_cells

FIELDS = {
    "text": EventField(type="string", length_max=12),
    "name": EventField(type="id"),
    "count": EventField(type="int"),
    "at": EventField(type="time"),
    "size": EventField(type="float"),
    "price": EventField(type="decimal", decimals=2),
    "on": EventField(type="bool"),
    "maybe": EventField(type="int", required=False),
}
NUMBERS = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(repr),
    st.sampled_from(["0", "-0", "007", "+1", "1_000", "1.5e3", " 1", "1 ", "0x10", "٣", "1e400", "", "-", "9" * 18]),
)
TEXTS = st.one_of(NUMBERS, st.text(max_size=14), st.sampled_from(["true", "false", "2026-01-02T03:04:05Z", "NaN"]))
RAW = st.one_of(TEXTS.map(str.encode), st.binary(max_size=14), st.sampled_from([ABSENT, TWICE, NO_VALUE]))


def cell_texts(columns: Columns, row: int) -> list[object]:
    """What a row holds: strings read where they lie."""
    held: list[object] = []
    for field in range(len(columns.schema.fields)):
        length = int(columns.length[field, row])
        if length >= 0:
            at = int(columns.value[field, row])
            held.append(bytes((np.ctypeslib.ctypes.c_char * length).from_address(at)) if length else b"")
        else:
            held.append((length, int(columns.value[field, row])))
    return held


def plainly(schema: Schema, raws: list[bytes | int]) -> tuple[Columns, int, list[object]]:
    """The kernel's row, its status, and what owns its bytes."""
    owners = [np.frombuffer(raw + b"!", np.uint8) if isinstance(raw, bytes) else None for raw in raws]
    address = np.array([[0 if owner is None else owner.ctypes.data] for owner in owners], np.int64)
    size = np.array([[len(raw) if isinstance(raw, bytes) else raw] for raw in raws], np.int64)
    fields = np.array([[f.code, f.required, f.length_max] for f in schema.fields.values()], np.int64)
    columns, status = Columns(schema, 3), np.zeros(1, np.int8)
    fill_plain(address, size, 1, fields, columns.value, columns.length, status)
    return columns, int(status[0]), owners


@given(st.lists(st.tuples(st.sampled_from(sorted(FIELDS)), RAW), min_size=1, max_size=6, unique_by=lambda x: x[0]))
@settings(max_examples=400)
def test_what_the_kernel_takes_is_what_the_safe_path_takes(chosen: list[tuple[str, bytes | int]]) -> None:
    schema = Schema(fields={name: FIELDS[name] for name, _ in chosen})
    raws = [raw for _, raw in chosen]
    columns, status, owners = plainly(schema, raws)
    if status:
        return
    safe, keep = Columns(schema, 3), []
    fill_row(safe, 1, header_cells(raws, schema), keep)
    assert cell_texts(columns, 1) == cell_texts(safe, 1)
    del owners


def one(kind: str, raw: bytes | int) -> object:
    schema = Schema(fields={kind: FIELDS[kind]})
    cell = header_cells([raw], schema)[0]
    return cell.text if cell.text is not None else cell.number


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("name", b"17", b"17"),
        ("name", "bänd".encode(), "bänd".encode()),
        ("name", b"", b""),
        ("count", b"-17", -17),
        ("count", b"9223372036854775807", 2**63 - 1),
        ("at", b"1700000000123", 1_700_000_000_123),
        ("at", b"2020-01-01T01:02:03.004+01:00", 1_577_836_923_004),
        ("size", b"1.5e3", 1500.0),
        ("price", b"19.99", 1999),
        ("price", b"20", 2000),
        ("on", b"true", 1),
        ("on", b"false", 0),
        ("maybe", ABSENT, None),
        ("maybe", NO_VALUE, None),
    ],
)
def test_a_value_is_read_by_its_type(kind: str, raw: bytes | int, value: object) -> None:
    assert one(kind, raw) == value


@pytest.mark.parametrize(
    ("kind", "raw", "code", "told"),
    [
        ("name", ABSENT, "missing-field", "header name: missing, expected a value of type id"),
        ("name", TWICE, "duplicate-key", "header name: stands more than once"),
        ("maybe", TWICE, "duplicate-key", "header maybe: stands more than once"),
        ("name", NO_VALUE, "wrong-type", "header name: found null"),
        ("name", b"\xff", "invalid-utf8", "header name: byte 0 is not UTF-8"),
        ("text", b"x" * 13, "out-of-range", "header text: found 13 bytes, expected at most 12"),
        ("count", b"x", "wrong-type", 'header count: found "x", expected an integer'),
        ("count", b"5.0", "wrong-type", 'header count: found "5.0", expected an integer'),
        ("count", b"07", "wrong-type", "header count"),
        ("count", b"", "wrong-type", "header count"),
        ("count", b"9223372036854775808", "integer-overflow", "outside int64"),
        ("count", b"1" * 5000, "integer-overflow", "outside int64"),
        ("at", b"yesterday", "bad-time", 'header at: found "yesterday"'),
        ("at", b"1.5", "bad-time", 'header at: found "1.5"'),
        ("size", b"NaN", "non-finite", "NaN"),
        ("size", b"1e400", "non-finite", "too large"),
        ("size", b"0x10", "wrong-type", "header size"),
        ("on", b"True", "wrong-type", 'header on: found "True", expected true or false'),
    ],
)
def test_what_is_wrong_is_told_by_name(kind: str, raw: bytes | int, code: str, told: str) -> None:
    with pytest.raises(BadEventError) as caught:
        one(kind, raw)
    assert caught.value.code == code
    assert told in str(caught.value)
    assert plainly(Schema(fields={kind: FIELDS[kind]}), [raw])[1] == 1


def test_the_usual_frame_is_plain() -> None:
    schema = Schema(fields={name: FIELDS[name] for name in ("name", "text", "at", "maybe")})
    columns, status, owners = plainly(schema, [b"camera-1", b"f 17", b"1700000000123", ABSENT])
    assert status == 0
    assert cell_texts(columns, 1) == [b"camera-1", b"f 17", (NUMBER, 1_700_000_000_123), (NULL, 0)]
    del owners
