"""What a catalog refuses before anything is read, and how it says so."""

import re
from typing import Any

import pytest

from features.catalog import Catalog

TYPES = {"id": "id", "at": "time", "customer": "id", "amount": "float", "hit": "bool"}
MEAN = {"entity": "customer", "aggregate": "mean", "field": "amount", "span": "1d", "delay": "1d"}
RISK = {"entity": "customer", "aggregate": "risk", "span": "1d", "delay": "1d"}


def declared(key: str, optional: str = "", feature: dict[str, Any] = MEAN, **entity: Any) -> dict[str, Any]:
    """One entity, the customer, of events with this key."""
    fields = {name: {"type": kind, "required": name != optional} for name, kind in TYPES.items()}
    events = {"topic": "e", "role": "decide", "id": "id", "key": key, "event_time": "at", "fields": fields}
    reports = {"topic": "l", "role": "state", "id": "id", "key": "id", "event_time": "at", "fields": fields}
    return {
        "inputs": {"events": events, "reports": reports},
        "entities": {"customer": {"key": "customer", **entity}},
        "features": {"window": feature},
    }


@pytest.mark.parametrize("optional", ["customer", "amount"])
def test_state_refuses_a_field_that_may_be_absent(optional):
    with pytest.raises(ValueError, match=f"{optional!r} has required = false"):
        Catalog.model_validate(declared("id", optional))
    Catalog.model_validate(declared("id"))


def test_labels_on_the_entity_of_the_topics_key_are_refused_by_name():
    labels = {"input": "reports", "field": "hit"}
    told = "entities.customer.labels: found labels on an entity whose key, 'customer', is the key of topic 'e' itself"
    with pytest.raises(ValueError, match=re.escape(told)):
        Catalog.model_validate(declared("customer", feature=RISK, labels=labels))
    Catalog.model_validate(declared("id", feature=RISK, labels=labels))


FRAMES = {
    "topic": "f",
    "role": "decide",
    "format": "image",
    "id": "id",
    "key": "camera",
    "event_time": "at",
    "image": {"pixels_max": 1000},
    "fields": {"id": {"type": "id"}, "camera": {"type": "id"}, "at": {"type": "time"}},
}
REPORTS = declared("id")["inputs"]["reports"]


def test_an_image_input_decides_and_needs_no_features():
    catalog = Catalog.model_validate({"inputs": {"frames": FRAMES, "reports": REPORTS}})
    assert catalog.decided.image is not None
    assert catalog.decided.image.crop == (0.0, 0.0, 1.0, 1.0)
    windowed = {"entities": {"camera": {"key": "camera"}}, "features": {"hour": {"expression": "hour(at)"}}}
    Catalog.model_validate({"inputs": {"frames": FRAMES}, **windowed})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": None}, 'image: missing, format = "image" needs this table with `pixels_max`'),
        ({"format": "json"}, 'image: found this table with format = "json"'),
        ({"role": "state"}, 'format: found "image" with role = "state"'),
        ({"format": "jpeg"}, "Input should be 'json' or 'image'"),
        ({"image": {}}, "pixels_max"),
        ({"image": {"pixels_max": 0}}, "greater than or equal to 1"),
        ({"image": {"pixels_max": 9, "crop": [0.5, 0, 0.5, 1]}}, "crop: found [0.5, 0.0, 0.5, 1.0]"),
        ({"image": {"pixels_max": 9, "crop": [0, 0, 1, 1.1]}}, "less than or equal to 1"),
        ({"image": {"pixels_max": 9, "crop": [0, 0, 1]}}, "image.crop"),
        ({"key": "belt"}, "key: 'belt' is not declared"),
        ({"event_time": "id"}, "event_time: field 'id' has type \"id\""),
    ],
)
def test_an_image_input_that_does_not_fit_together_is_told_why(changes, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        Catalog.model_validate({"inputs": {"frames": {**FRAMES, **changes}, "reports": REPORTS}})


def test_a_json_input_needs_features():
    with pytest.raises(ValueError, match="features: found none"):
        Catalog.model_validate({**declared("id"), "features": {}, "entities": {}})
