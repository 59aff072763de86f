"""Two configurations side by side: run apart from where they live, refused when they decide other events."""

import re

import pytest
from made_up_recording import side

from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.evaluation.side import apart, differing, require_alike, told_of


def test_a_side_runs_apart_from_its_cluster_its_secrets_and_its_folders() -> None:
    given = (
        "kafka.sasl.password=hush",
        "kafka.group.instance.id=one",
        "kafka.producer.linger.ms=7",
        "checkpoint.url=s3://there",
        "delivery.guarantee=exactly_once",
        "engine.commit_ms=20",
    )
    own = apart(side("A", *given).config, "A", "localhost:1", replay=True)
    assert own.kafka.consumer_settings() == {
        "bootstrap.servers": "localhost:1",
        "group.id": "evaluate-A",
        "auto.offset.reset": "earliest",
    }
    assert own.kafka.producer_settings()["linger.ms"] == "7"
    assert (own.checkpoint.url, own.delivery.guarantee, own.http.enabled) == ("", "at_least_once", False)
    assert (own.pipeline.mode, own.topics.decisions, own.inputs["transactions"].topic) == (
        "replay",
        "decisions-A",
        "transactions",
    )
    assert told_of([*given, "pipeline.budget_ms=50"]) == ("engine.commit_ms=20", "pipeline.budget_ms=50")


def test_what_differs_is_told_by_its_key() -> None:
    a, b = side("A").config, side("B", "tiers.primary.model=fraud-lite", "decide.thresholds=[0.4, 0.9]").config
    assert differing(a, b) == [
        ("tiers.primary.model", "fraud-gbt", "fraud-lite"),
        ("decide.thresholds", "[0.3, 0.8]", "[0.4, 0.9]"),
    ]
    assert differing(a, side("B", "kafka.bootstrap.servers=elsewhere:1").config) == []


@pytest.mark.parametrize(
    ("b", "told"),
    [
        (
            load("vision", environ={}).config,
            "inputs: A decides transactions, B decides frames: expected the same events",
        ),
        (
            side("B", 'decide.labels=["yes", "perhaps", "no"]', "decide.fallback=no", "cost.detected=[]").config,
            "decide.labels: A decides approve, review, decline, B yes, perhaps, no: expected the same labels",
        ),
        (
            side("B", "inputs.labels.known_time=event_time").config,
            "inputs.labels.known_time: A has 'reported_at', B has 'event_time': expected the same events",
        ),
    ],
)
def test_configurations_that_decide_other_events_are_refused(b: object, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        require_alike(side("A").config, b)  # type: ignore[arg-type]
