"""Arithmetic on fields: what each operation gives, and what is no expression."""

import math
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.columns import Columns
from features.expression import column_scales, compile_expression, names_in, run_program
from features.schema import NUMBER, Schema

TYPES = {"n": "int", "weight": "float", "at": "time", "flag": "bool"}
FIELDS = {name: {"type": kind} for name, kind in TYPES.items()} | {"amount": {"type": "decimal", "decimals": 2}}
SCHEMA = Schema.model_validate({"fields": FIELDS})
AT = datetime(2026, 11, 21, 13, 45, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def value_of(expression: str, at_ms: int = int(AT.timestamp() * 1000)) -> float:
    """The expression of an event: n 7, weight -2.5, amount 12.34, flag true; its neighbours are left alone."""
    columns = Columns(SCHEMA, 3)
    columns.length[:] = NUMBER
    for name, value in {"n": 7, "at": at_ms, "flag": 1, "amount": 1234}.items():
        columns.value[SCHEMA.index(name), 1] = value
    columns.floats[SCHEMA.index("weight"), 1] = -2.5
    program = compile_expression("features.x", expression, SCHEMA)
    out = np.full((3, 2), np.nan)
    rows = np.array([1], np.int32)
    run_program(program.steps, program.constants, columns.value, column_scales(SCHEMA), rows, out, 1)
    assert np.isnan(out).sum() == 5
    return float(out[1, 1])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("amount", 12.34),
        ("amount * 2 + n", 31.68),
        ("n - weight - 1", 8.5),
        ("n - (weight - 1)", 10.5),
        ("n / 2", 3.5),
        ("n / 0", 0.0),
        ("-weight", 2.5),
        ("abs(weight)", 2.5),
        ("min(n, amount)", 7.0),
        ("max(n, amount)", 12.34),
        ("log1p(n)", math.log1p(7)),
        ("log1p(weight)", 0.0),
        ("sqrt(n)", math.sqrt(7)),
        ("sqrt(weight)", 0.0),
        ("n < 7", 0.0),
        ("n <= 7", 1.0),
        ("n > 7", 0.0),
        ("n >= 7", 1.0),
        ("n == 7", 1.0),
        ("n != 7", 0.0),
        ("weight", -2.5),
        ("not flag", 0.0),
        ("flag and weight < 0", 1.0),
        ("flag and weight > 0", 0.0),
        ("weight > 0 or n == 7", 1.0),
        ("weight > 0 or n == 8 or not flag", 0.0),
        ("hour(at)", 13.0),
        ("weekday(at) >= 5", 1.0),
        ("True + 1.5", 2.5),
    ],
)
def test_each_operation_gives_what_it_says(expression: str, expected: float) -> None:
    assert value_of(expression) == pytest.approx(expected, rel=1e-15, abs=0)


@given(at_ms=st.integers(-(10**12), 250_000_000_000_000))
def test_hours_and_weekdays_are_the_calendars_before_1970_too(at_ms: int) -> None:
    at = EPOCH + timedelta(milliseconds=at_ms)
    assert (value_of("hour(at)", at_ms), value_of("weekday(at)", at_ms)) == (at.hour, at.weekday())


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("amount +", "features.x: 'amount +' is not an expression"),
        ("amount ** 2", "'amount ** 2' is not possible here"),
        ("1 < n < 3", "'1 < n < 3' is not possible here"),
        ("n if flag else 0", "is not possible here"),
        ("amount.real", "'amount.real' is not possible here"),
        ("'seven'", "is not possible here"),
        ("exec(n)", "no function 'exec'; there are min, max"),
        ("amount.is_integer()", "no function 'amount.is_integer'"),
        ("min(n)", "min takes 2 arguments, found 1"),
        ("abs(x=n)", "no function 'abs'"),
        (" + ".join(["n"] * 100), "is too long"),
    ],
)
def test_what_is_no_expression_is_refused(expression: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        compile_expression("features.x", expression, SCHEMA)


def test_the_fields_an_expression_uses_are_known() -> None:
    assert set(names_in("features.x", "min(n, amount) + abs(weight) * 2")) == {"n", "amount", "weight"}
