"""Decoding: every kind of bad input is data, and every valid form is accepted."""

import ctypes
import json

import numpy as np
import pytest

from features.columns import Columns
from features.schema import NULL, NUMBER, EventField, Schema
from pipeline.decode import EventDecoder, key_disagreements

SCHEMA = Schema(
    fields={
        "transaction_id": EventField(type="id"),
        "event_time": EventField(type="time"),
        "customer_id": EventField(type="id"),
        "terminal_id": EventField(type="id"),
        "amount": EventField(type="decimal", decimals=2, min=0, max=1e9),
        "note": EventField(type="string", required=False, length_max=20),
        "rate": EventField(type="float", required=False, min=0.07),
    }
)
PLAIN = b'{"transaction_id":7,"event_time":1522540831000,"customer_id":596,"terminal_id":3156,"amount":57.16}'
DECODER = EventDecoder(SCHEMA)


def decode(*records, decoder=DECODER, first_row=0):
    address = np.array([0 if raw is None else ctypes.cast(raw, ctypes.c_void_p).value for raw in records])
    length = np.array([-1 if raw is None else len(raw) for raw in records])
    columns = Columns(SCHEMA, first_row + len(records))
    return decoder.decode(address, length, columns, first_row, len(records)), columns


def changed(old, new):
    assert old in PLAIN
    return PLAIN.replace(old, new)


def cell(columns, name, row=0):
    column = SCHEMA.index(name)
    value, length = int(columns.value[column, row]), int(columns.length[column, row])
    if length == NUMBER and name == "rate":
        return float(columns.floats[column, row])
    return value if length == NUMBER else None if length == NULL else ctypes.string_at(value, length)


BAD = [
    (None, "tombstone", "no value"),
    (b"", "empty", "empty"),
    (b"   ", "invalid-json", "JSON"),
    (b'{"transaction_id":', "invalid-json", "JSON"),
    (PLAIN + b"}", "invalid-json", "JSON"),
    (b"[1]", "wrong-type", "object"),
    (changed(b"596", b"5.0"), "wrong-type", "customer_id: found 5.0, expected an integer or a string"),
    (changed(b"596", b"true"), "wrong-type", "customer_id: found true"),
    (changed(b"57.16", b'"57.16"'), "wrong-type", 'amount: found "57.16", expected a number'),
    (changed(b"596", b"null"), "wrong-type", "customer_id: found null"),
    (changed(b',"terminal_id":3156', b""), "missing-field", "terminal_id: missing, expected a value of type id"),
    (changed(b"57.16", b"-0.01"), "out-of-range", "amount: found -0.01, expected 0 to 1e+09"),
    (changed(b"57.16", b"1000000000.01"), "out-of-range", "amount"),
    (changed(b"57.16", b"1e300"), "out-of-range", "amount"),
    (changed(b"57.16", b'1,"rate":0.0699'), "out-of-range", "rate: found 0.0699, expected 0.07 to any"),
    (changed(b"57.16", b'1,"note":"%s"' % (b"x" * 21)), "out-of-range", "note: found 21 bytes"),
    (changed(b"57.16", b"NaN"), "non-finite", "NaN"),
    (changed(b"57.16", b"-Infinity"), "non-finite", "-Infinity"),
    (changed(b"57.16", b"1e400"), "non-finite", "1e400"),
    (changed(b"57.16", b'1,"x":[{"y":1e400}]'), "non-finite", "1e400"),
    (changed(b"596", b"9223372036854775808"), "integer-overflow", "int64"),
    (changed(b"57.16", b'1,"x":%s' % (b"9" * 5000)), "integer-overflow", "int64"),
    (changed(b"57.16", b'1,"amount":2'), "duplicate-key", "amount"),
    (changed(b"57.16", b'1,"\\u0061mount":2'), "duplicate-key", "amount"),
    (changed(b"57.16", b'1,"x":{"a":1,"a":2}'), "duplicate-key", '"a"'),
    (changed(b"57.16", b'1,"x":1,"x":1'), "duplicate-key", '"x"'),
    (changed(b"57.16", b'1,"note":"\xff"'), "invalid-utf8", "UTF-8"),
    (changed(b"57.16", b'1,"x":"\xed\xa0\x80"'), "invalid-utf8", "UTF-8"),
    (changed(b"57.16", b'1,"note":"\\ud800"'), "invalid-json", "JSON"),
    (b"[" * 10_000, "too-deep", "64"),
    (changed(b"57.16", b'1,"x":%s1%s' % (b"[" * 64, b"]" * 64)), "too-deep", "64"),
    (changed(b"57.16", b'1,"x":"%s"' % (b"x" * (2 << 20))), "too-large", "1048576"),
    (changed(b"1522540831000", b"-1"), "bad-time", "event_time: found -1 ms"),
    (changed(b"1522540831000", b"253402300800000"), "bad-time", "9999"),
    (changed(b"1522540831000", b'"1969-12-31T23:59:59.9999Z"'), "bad-time", "event_time"),
    (changed(b"1522540831000", b'"2018-04-01T00:00:31"'), "bad-time", "offset"),
    (changed(b"1522540831000", b'"2018-02-30T00:00:31Z"'), "bad-time", "2018-02-30"),
]


@pytest.mark.parametrize(("raw", "code", "said"), BAD, ids=[f"{i}-{bad[1]}" for i, bad in enumerate(BAD)])
def test_bad_input_is_a_reject_that_says_what_was_found(raw, code, said):
    decoded, columns = decode(PLAIN, raw, PLAIN)
    assert decoded.status.tolist() == [0, 2, 0]
    assert [(reject.index, reject.code) for reject in decoded.rejects] == [(1, code)]
    assert said in decoded.rejects[0].message
    assert (columns.length[:, 1] == NULL).all()
    assert cell(columns, "amount", 2) == 5716


GOOD = [
    (b"57.16", b"5.716e1", "amount", 5716),
    (b"57.16", b"57.159999999999997", "amount", 5716),
    (b"57.16", b"0.125", "amount", 12),
    (b"57.16", b"-0", "amount", 0),
    (b"57.16", b'1,"rate":1e2', "rate", 100.0),
    (b"57.16", b'1,"rate":0.07', "rate", 0.07),
    (b"57.16", b'1,"rate":null', "rate", None),
    (b"57.16", b'1,"x":{"y":[1,{"z":null}]}', "amount", 100),
    (b"57.16", b'1,"x":%s1%s' % (b"[" * 63, b"]" * 63), "amount", 100),
    (b"57.16", b'1,"note":"a\\n\\u00e9"', "note", "a\né".encode()),
    (b"57.16", b'1,"note":"\\n","x":""', "note", b"\n"),
    (b"57.16", b'1,"note":"caf\xc3\xa9"', "note", "café".encode()),
    (b"57.16", b'1,"note":""', "note", b""),
    (b"596", b'"c-1"', "customer_id", b"c-1"),
    (b"596", b"9223372036854775807", "customer_id", 2**63 - 1),
    (b"596", b"-9223372036854775808", "customer_id", -(2**63)),
    (b",", b" ,\r\n\t ", "amount", 5716),
    (b"1522540831000", b'"2018-04-01T02:00:31.0009+02:00"', "event_time", 1522540831000),
    (b"1522540831000", b'"2018-04-01T00:00:30.999999999999Z"', "event_time", 1522540830999),
    (b"1522540831000", b'"2016-12-31T23:59:60Z"', "event_time", 1483228800000),
    (b"1522540831000", b"253402300799999", "event_time", 253402300799999),
]


@pytest.mark.parametrize(("old", "new", "name", "expected"), GOOD, ids=[good[1].decode()[:40] for good in GOOD])
def test_every_valid_form_is_an_event(old, new, name, expected):
    raw = changed(old, new)
    decoded, columns = decode(raw, first_row=3)
    assert decoded.rejects == []
    assert cell(columns, name, 3) == expected


def test_order_of_fields_does_not_matter():
    raw = json.dumps(dict(reversed(json.loads(PLAIN).items()))).encode()
    _, plain = decode(PLAIN)
    _, reordered = decode(raw)
    assert reordered.value.tolist() == plain.value.tolist()
    assert reordered.length.tolist() == plain.length.tolist()


def test_an_escaped_record_with_an_empty_string_is_an_event():
    raw = changed(b"57.16", b'1,"note":""').replace(b"596", b'"\\u0041"')
    decoded, columns = decode(raw)
    assert decoded.rejects == []
    assert (cell(columns, "customer_id"), cell(columns, "note")) == (b"A", b"")


def test_one_bad_record_among_four_thousand():
    records = [PLAIN] * 4001
    records[1234] = b"{"
    decoded, columns = decode(*records)
    assert [reject.index for reject in decoded.rejects] == [1234]
    assert np.flatnonzero(decoded.status).tolist() == [1234]
    assert (np.delete(columns.value[4], 1234) == 5716).all()


def test_a_run_outside_the_columns_is_refused():
    with pytest.raises(ValueError, match="rows 1 to 2 do not lie in 1"):
        DECODER.decode(np.zeros(1, np.int64), np.zeros(1, np.int64), Columns(SCHEMA, 1), 1, 1)


KEYS = [
    (b"596", b"596", 0),
    (b"596", b"597", 1),
    (b"596", b"0596", 1),
    (b"596", b"", 1),
    (b"596", None, 1),
    (b"0", b"0", 0),
    (b"0", b"-0", 1),
    (b"-5", b"-5", 0),
    (b"-5", b"5", 1),
    (b"9223372036854775807", b"9223372036854775807", 0),
    (b"-9223372036854775808", b"-9223372036854775808", 0),
    (b"-9223372036854775807", b"9223372036854775809", 1),
    (b'"c-1"', b"c-1", 0),
    (b'"c-1"', b"c-2", 1),
    (b'"c-1"', b"c-", 1),
    (b'"c-1"', None, 1),
    (b'""', b"", 0),
    (b'""', None, 1),
]


@pytest.mark.parametrize(("value", "key", "expected"), KEYS)
def test_a_key_disagrees_when_it_is_not_the_value_as_text(value, key, expected):
    raw = changed(b"596", value)
    _, columns = decode(raw)
    address = np.array([ctypes.cast(key, ctypes.c_void_p).value if key else 0], np.int64)
    length = np.array([-1 if key is None else len(key)], np.int32)
    rows = np.zeros(1, np.int32)
    assert key_disagreements(columns, 2, rows, address, length).tolist() == [expected]
