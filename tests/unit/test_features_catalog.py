"""State needs fields that every event has."""

import pytest

from features.catalog import Catalog


@pytest.mark.parametrize("optional", ["customer", "amount"])
def test_state_refuses_a_field_that_may_be_absent(optional):
    types = {"id": "id", "at": "time", "customer": "id", "amount": "float"}
    fields = {name: {"type": kind, "required": name != optional} for name, kind in types.items()}
    events = {"topic": "e", "role": "decide", "id": "id", "key": "id", "event_time": "at", "fields": fields}
    mean = {"entity": "customer", "aggregate": "mean", "field": "amount", "span": "1d", "delay": "1d"}
    declared = {
        "inputs": {"events": events},
        "entities": {"customer": {"key": "customer"}},
        "features": {"mean": mean},
    }
    with pytest.raises(ValueError, match=f"{optional!r} has required = false"):
        Catalog.model_validate(declared)
    fields[optional]["required"] = True
    Catalog.model_validate(declared)
