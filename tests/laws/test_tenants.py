"""Two tenants are never one, one tenant is never two, and there is a bound."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import Columns
from features.schema import NULL, NUMBER, EventField, Schema
from pipeline.bill.tenants import NAME_BYTES_MAX, NONE, OTHER, Tenants

NAMES = {NONE: "(none)", OTHER: "(other)"}
texts = st.text(max_size=8) | st.sampled_from(["a", "b", "(idle)", "x" * NAME_BYTES_MAX, "x" * (NAME_BYTES_MAX + 1)])


def columns_of(values: list[str | int | None], kind: str) -> tuple[Columns, list[np.ndarray]]:
    columns = Columns(Schema(fields={"other": EventField(type="int"), "segment": EventField(type=kind)}), len(values))
    held = []
    for row, value in enumerate(values):
        if value is None:
            columns.length[1, row] = NULL
        elif isinstance(value, str):
            held.append(np.frombuffer(value.encode() + b"!", np.uint8))
            columns.value[1, row], columns.length[1, row] = held[-1].ctypes.data, len(value.encode())
        else:
            columns.value[1, row], columns.length[1, row] = value, NUMBER
    return columns, held


def expected(values: list[str | int | None], tenants_max: int) -> list[str]:
    """By a dictionary, in the order they came."""
    known: dict[str | int, None] = {}
    found = []
    for value in values:
        if value is None:
            found.append("(none)")
        elif isinstance(value, str) and len(value.encode()) > NAME_BYTES_MAX:
            found.append("(other)")
        else:
            if value in known or len(known) < tenants_max:
                known[value] = None
            text = str(value)
            quoted = repr(text) if isinstance(value, str) and (text.startswith("(") or not text) else text
            found.append(quoted if value in known else "(other)")
    return found


@given(
    st.lists(st.none() | texts | st.integers(-(2**63), 2**63 - 1), max_size=60),
    st.integers(1, 20),
    st.integers(0, 60),
)
@settings(max_examples=200)
def test_each_row_has_its_own_tenant(values: list[str | int | None], tenants_max: int, cut: int) -> None:
    columns, _held = columns_of(values, "id")
    tenants, tenant_of = Tenants(columns.schema, "segment", tenants_max), np.zeros(len(values), np.int16)
    cut = min(cut, len(values))
    tenants.number(columns, 0, cut, tenant_of)
    tenants.number(columns, cut, len(values), tenant_of)
    names = tenants.names()
    assert [names[number] for number in tenant_of.tolist()] == expected(values, tenants_max)
    assert len(names) <= tenants_max + 2


def test_a_boolean_is_told_as_one() -> None:
    columns, _ = columns_of([1, 0, None], "bool")
    tenants, tenant_of = Tenants(columns.schema, "segment", 4), np.zeros(3, np.int16)
    tenants.number(columns, 0, 3, tenant_of)
    assert [tenants.names()[number] for number in tenant_of.tolist()] == ["true", "false", "(none)"]
