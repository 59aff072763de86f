"""Versions change while events come: a bad one goes by itself, a good one is promoted, no event is lost."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from pipeline.config.load import load
from pipeline.rollout.course import begun, promoted
from pipeline.rollout.desk import ask, in_force, named, new_name
from pipeline.wire.rollout import ModelRef, RolloutRecord
from tests.rollout_ground import (
    STEPS_AT_ONCE,
    TOPICS,
    Traffic,
    assert_each_once,
    decisions_of,
    noted,
    rolling_out,
    running,
    until,
)
from tests.versions import repository_of

pytestmark = pytest.mark.slow
INPUTS = tuple(load("fraud", environ={}).config.features)
Embedded = Callable[[dict[str, int]], str]


def renamed(record: RolloutRecord) -> RolloutRecord:
    return replace(record, rollout=new_name(), at_ms=1, by="test")


def start(config: object, version: str, share: float = 0.3, *, shadow: bool = False, auto: bool = True) -> None:
    candidate = named(config, "fraud-gbt", version)  # type: ignore[arg-type]
    ask(config, "primary", lambda now: begun(now, candidate, new_name(), share, shadow=shadow, auto=auto))  # type: ignore[arg-type]


BAD = {
    "2": ("inverted", "differ"),
    "3": ("constant", "differ"),
    "4": ("slow", "runs took more than"),
    "5": ("not-finite", "no finite number"),
    "6": ("raising", "session failed"),
}


def test_bad_canaries_go_by_themselves_and_nothing_is_lost(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {version: kind for version, (kind, _) in BAD.items()} | {"7": "broken"})
    config = rolling_out(embedded(TOPICS), folder)
    unseen = ModelRef("fraud-gbt", "7")
    with running(config) as pipeline, Traffic(config, 2000) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        for number, version in enumerate(BAD, 1):
            start(config, version)
            until(lambda: pipeline.counted("rollouts/rolled_back") == number, f"{version} is gone")  # noqa: B023
        ask(config, "primary", lambda now: begun(now, unseen, new_name(), 0.5, shadow=False, auto=True))
        until(lambda: pipeline.counted("rollouts/refused"), "the broken file is refused")
        ask(config, "primary", lambda now: renamed(promoted(now, ModelRef("fraud-gbt", "8"))))
        until(lambda: pipeline.counted("rollouts/refused") == 2, "what is not there is refused, too")
        seen = traffic.sent
        until(lambda: traffic.sent > seen + 500, "more traffic")
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        summary = pipeline.stop()
    assert summary.drained
    backs = [each for each in noted(config, "rolled_back") if each.by.endswith(str(os.getpid()))]
    assert [(each.model, each.version) for each in backs] == [("fraud-gbt", "1")] * len(backs)
    assert all(why in each.reason for (_, why), each in zip(BAD.values(), backs, strict=False))
    broken, missing = noted(config, "refused")
    assert "sha256" in broken.reason
    assert "there is no model fraud-gbt/8" in missing.reason
    now = in_force(config)["primary"]
    assert (now.stable.version, now.candidate) == ("1", None)
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    assert {decision["outcome"] for decision in decisions} == {"scored"}
    assert {decision["version"] for decision in decisions} <= {"1", *BAD}
    assert {"1", "2", "3"} <= {decision["version"] for decision in decisions}, "candidates answered, and say so"
    assert {decision["version"] for decision in decisions if int(decision["id"]) > seen + 100} == {"1"}
    assert all(decision["score"] is not None for decision in decisions)
    assert {each.event for each in noted(config, "started", "stopped")} == {"started", "stopped"}


def test_a_good_canary_is_promoted_step_by_step_and_a_key_has_one_version(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "good"})
    config = rolling_out(embedded(TOPICS), folder, "rollout.steps=[0.3, 0.6]", *STEPS_AT_ONCE)
    with running(config) as pipeline, Traffic(config, 2000) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        start(config, "2", auto=False)
        until(lambda: pipeline.counted("rollouts/taken") == 1, "the candidate is beside it")
        first = traffic.sent
        until(lambda: pipeline.decided() > first + 2500, "it answers its share")
        last = traffic.sent
        ask(config, "primary", lambda now: replace(now, auto=True, event="share"))
        until(lambda: pipeline.counted("rollouts/taken") >= 4, "the candidate is promoted")
        seen = traffic.sent
        until(lambda: pipeline.decided() > seen + 500, "more traffic")
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        pipeline.stop()
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    record = in_force(config)["primary"]
    assert (record.stable.version, record.candidate, record.event) == ("2", None, "promoted")
    assert record.previous is not None
    assert record.previous.version == "1"
    told = [(each.event, each.share) for each in noted(config, "canary", "share", "promoted")]
    assert told == [("canary", 0.3), ("share", 0.3), ("share", 0.6), ("promoted", 0.0)]
    assert {decision["version"] for decision in decisions if int(decision["id"]) > seen + 100} == {"2"}
    versions: dict[str, set[str]] = {}
    for decision in decisions:
        if first + 100 < int(decision["id"]) < last:
            versions.setdefault(decision["key"], set()).add(decision["version"])
    assert all(len(each) == 1 for each in versions.values())
    assert 0.24 < sum(each == {"2"} for each in versions.values()) / len(versions) < 0.36


def test_a_restarted_process_comes_up_with_what_is_in_force(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "good"})
    config = rolling_out(embedded(TOPICS), folder)
    two = named(config, "fraud-gbt", "2")
    ask(config, "primary", lambda now: renamed(promoted(now, two)), by="tester")
    with running(config) as pipeline, Traffic(config, 1000) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        pipeline.stop()
    assert {decision["version"] for decision in decisions_of(config, sent)} == {"2"}
    started = next(each for each in noted(config, "started") if each.tier == "primary")
    assert (started.version, started.by, started.sha256) == ("2", "tester", two.sha256)


def test_a_shadow_decides_nothing_and_a_bad_one_is_ended(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "inverted"})
    # Neighbours on the machine may not keep it from running at all.
    config = rolling_out(embedded(TOPICS), folder, "rollout.shadow_run_us_max=50000", "engine.poll_interval_us=50000")
    with running(config) as pipeline, Traffic(config, 500) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        start(config, "2", shadow=True)
        until(lambda: pipeline.counted("rollouts/rolled_back"), "the shadow is ended")
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        summary = pipeline.stop()
    assert summary.totals.counts["shadow_rows"] >= 100
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    assert {decision["version"] for decision in decisions} == {"1"}


@pytest.mark.parametrize(
    ("reloads", "session"),
    [
        (10, "inline"),
        (10, "thread"),
        pytest.param(100, "inline", marks=pytest.mark.soak),
    ],
)
def test_versions_are_swapped_under_load_without_an_event_lost(
    embedded: Embedded, tmp_path: Path, reloads: int, session: str
) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "good"})
    config = rolling_out(embedded(TOPICS), folder, f"engine.session={session}")
    refs = [named(config, "fraud-gbt", version) for version in ("2", "1")]
    producer = Producer({"bootstrap.servers": config.kafka.bootstrap})
    with running(config) as pipeline, Traffic(config, 800) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        now = in_force(config)["primary"]
        for number in range(reloads):
            wanted = refs[number % 2]
            now = renamed(promoted(now, wanted))
            producer.produce(config.topics.rollouts, now.encode(), now.key.encode())
            producer.flush(10)
            until(lambda: pipeline.counted("rollouts/taken") > number, f"reload {number + 1}")  # noqa: B023
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        summary = pipeline.stop()
    assert summary.drained
    assert summary.totals.counts["rollouts/taken"] == reloads
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    assert {decision["version"] for decision in decisions} == {"1", "2"}
    assert len(noted(config, "promoted")) == reloads
