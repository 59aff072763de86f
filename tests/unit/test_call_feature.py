"""A feature that is a user's own function: what it is given, and what is told of one that cannot be used."""

import re
from pathlib import Path

import numpy as np
import pytest

from features.catalog import Catalog
from features.columns import Columns
from features.schema import NUMBER
from features.state import FeatureSet

MODULE = """
import numba

@numba.njit
def price_step(price, weight, clicks):
    return price // 5 + weight * clicks

def plain(price):
    return price
"""
TYPES = {"id": "id", "at": "time", "clicks": "int", "weight": "float"}
FIELDS = {name: {"type": kind} for name, kind in TYPES.items()} | {"price": {"type": "decimal", "decimals": 2}}


def features_with(call: str, *arguments: str) -> FeatureSet:
    events = {"topic": "e", "role": "decide", "id": "id", "key": "id", "event_time": "at", "fields": FIELDS}
    features = {"clicks": {"expression": "clicks"}, "step": {"call": call, "arguments": list(arguments)}}
    return FeatureSet(Catalog.model_validate({"inputs": {"events": events}, "features": features}))


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_users_own_features.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def test_it_gets_float64_of_the_fields_and_its_answer_is_the_feature() -> None:
    features = features_with("a_users_own_features:price_step", "price", "weight", "clicks")
    columns = Columns(features.catalog.decided.schema_, 3)
    columns.length[:] = NUMBER
    columns.value[columns.schema.index("price")] = [1234, -1, 500]
    columns.value[columns.schema.index("clicks")] = [3, 4, 5]
    columns.floats[columns.schema.index("weight")] = [0.5, 0.25, -2.0]
    wide, narrow = np.full((3, 2), np.nan), np.full((3, 2), np.nan, np.float32)
    rows = np.array([2, 0], np.int32)
    features.new_state(1 << 20).apply(
        "events", columns, rows, np.zeros(2, np.int32), np.arange(2, dtype=np.int64), out64=wide, out32=narrow
    )
    assert wide[[0, 2]].tolist() == [[3.0, 2 + 1.5], [5.0, 1 - 10.0]]
    assert np.isnan(wide[1]).all()
    assert narrow[[0, 2]].tolist() == wide[[0, 2]].tolist()


@pytest.mark.parametrize(
    ("call", "arguments", "told"),
    [
        ("a_users_own_features:price_step", ["price"], "takes 3 arguments, 1 are named"),
        ("a_users_own_features:plain", ["price"], "is not compiled by numba.njit"),
        (
            "a_users_own_features:none",
            ["price"],
            "cannot import 'a_users_own_features:none', expected module:function",
        ),
        ("a_users_own_features", ["price"], "cannot import 'a_users_own_features', expected module:function"),
        ("no_such_module:f", ["price"], "cannot import 'no_such_module:f'"),
        ("a_users_own_features:price_step", ["prise"], "features.step.arguments: 'prise' is not declared, did you"),
    ],
)
def test_what_cannot_be_called_is_told_with_the_features_name(call: str, arguments: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        features_with(call, *arguments)
    assert "features.step" in str(caught.value)
