"""Versions change while events come: a bad one goes by itself, a good one is promoted, no event is lost."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.config.load import load
from pipeline.rollout.control_topic import deliver
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
    stable_of,
    until,
)
from tests.versions import repository_of

INPUTS = tuple(load("fraud", environ={}).config.features)
Embedded = Callable[[dict[str, int]], str]


def renamed(record: RolloutRecord) -> RolloutRecord:
    return replace(record, rollout=new_name(), at_ms=1, by="test")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def start(config: object, version: str, share: float = 0.3, *, shadow: bool = False, auto: bool = True) -> None:
    candidate = named(config, "fraud-gbt", version)  # type: ignore[arg-type]
    ask(config, "primary", lambda now: begun(now, candidate, new_name(), share, shadow=shadow, auto=auto))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("inverted", "differ"),
        ("constant", "differ"),
        ("slow", "runs took more than"),
        ("not-finite", "no finite number"),
        ("raising", "session failed"),
    ],
)
def test_a_bad_canary_goes_by_itself_and_nothing_is_lost(
    embedded: Embedded, tmp_path: Path, kind: str, why: str
) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": kind})
    config = rolling_out(embedded(TOPICS), folder)
    with running(config) as pipeline, Traffic(config, 2000) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        start(config, "2")
        until(lambda: pipeline.counted("rollouts/rolled_back"), "the candidate is rolled back")
        seen = traffic.sent
        until(lambda: traffic.sent > seen + 500, "more traffic")
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        summary = pipeline.stop()
    assert summary.drained
    assert summary.totals.counts["rollouts/rolled_back"] == 1
    (back,) = noted(config, "rolled_back")
    assert why in back.reason
    assert (back.model, back.version) == ("fraud-gbt", "1")
    assert in_force(config)["primary"].candidate is None
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    assert {decision["outcome"] for decision in decisions} == {"scored"}
    assert "1" in {decision["version"] for decision in decisions} <= {"1", "2"}
    assert all(decision["score"] is not None for decision in decisions)
    late = [decision["version"] for decision in decisions if int(decision["id"]) > seen + 100]
    assert set(late) == {"1"}
    assert [each.event for each in sorted(noted(config, "started"), key=lambda each: each.tier)] == ["started"] * 2
    assert {each.event for each in noted(config, "stopped")} == {"stopped"}


def test_a_good_canary_is_promoted_step_by_step(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "good"})
    config = rolling_out(embedded(TOPICS), folder, "rollout.steps=[0.2, 0.5]", *STEPS_AT_ONCE)
    with running(config) as pipeline, Traffic(config, 2000) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        start(config, "2", 0.2)
        until(lambda: pipeline.counted("rollouts/taken") >= 3, "the candidate is promoted")
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
    assert [(each.event, each.share) for each in noted(config, "canary", "share", "promoted")] == [
        ("canary", 0.2),
        ("share", 0.5),
        ("promoted", 0.0),
    ]
    assert {decision["version"] for decision in decisions if int(decision["id"]) > seen + 100} == {"2"}
    customer_of = {decision["id"]: decision for decision in decisions}
    assert len(customer_of) == sent


def test_a_broken_file_is_refused_by_name_and_the_stable_version_goes_on(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "broken"})
    config = rolling_out(embedded(TOPICS), folder)
    with running(config) as pipeline, Traffic(config, 1000) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        unseen = ModelRef("fraud-gbt", "2")
        ask(config, "primary", lambda now: begun(now, unseen, new_name(), 0.5, shadow=False, auto=True))
        until(lambda: pipeline.counted("rollouts/refused"), "the file is refused")
        ask(config, "primary", lambda now: renamed(promoted(now, ModelRef("fraud-gbt", "7"))))
        until(lambda: pipeline.counted("rollouts/refused") == 2, "what is not there is refused, too")
        until(lambda: stable_of(config) == "1", "the topic says what is in force")
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        pipeline.stop()
    first, second = noted(config, "refused")
    assert "sha256" in first.reason
    assert "there is no model fraud-gbt/7" in second.reason
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    assert {decision["version"] for decision in decisions} == {"1"}


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


def test_a_key_has_one_version_and_decisions_say_which(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "good"})
    config = rolling_out(embedded(TOPICS), folder, "publish.features=false")
    start(config, "2", 0.4, auto=False)
    with running(config) as pipeline, Traffic(config, 2000) as traffic:
        until(lambda: pipeline.decided() > 4000, "traffic flows")
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        pipeline.stop()
    versions: dict[str, set[str]] = {}
    for decision in decisions_of(config, sent):
        versions.setdefault(decision["key"], set()).add(decision["version"])
    assert all(len(each) == 1 for each in versions.values())
    share = sum(each == {"2"} for each in versions.values()) / len(versions)
    assert 0.34 < share < 0.46


def test_a_shadow_decides_nothing_and_a_bad_one_is_ended(embedded: Embedded, tmp_path: Path) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "inverted"})
    config = rolling_out(embedded(TOPICS), folder)
    with running(config) as pipeline, Traffic(config, 2000) as traffic:
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
        pytest.param(10, "inline", marks=pytest.mark.slow),
        pytest.param(10, "thread", marks=pytest.mark.slow),
        pytest.param(100, "inline", marks=pytest.mark.soak),
    ],
)
def test_versions_are_swapped_under_load_without_an_event_lost(
    embedded: Embedded, tmp_path: Path, reloads: int, session: str
) -> None:
    folder = repository_of(tmp_path, INPUTS, {"2": "good"})
    config = rolling_out(embedded(TOPICS), folder, f"engine.session={session}")
    refs = [named(config, "fraud-gbt", version) for version in ("2", "1")]
    resident: list[int] = []
    with running(config) as pipeline, Traffic(config, 800) as traffic:
        until(lambda: pipeline.decided() > 300, "traffic flows")
        now = in_force(config)["primary"]
        for number in range(reloads):
            wanted = refs[number % 2]
            now = renamed(promoted(now, wanted))
            deliver(config.kafka.plain_producer_settings(), config.topics.rollouts, now.key, now.encode())
            until(lambda: pipeline.counted("rollouts/taken") > number, f"reload {number + 1}")  # noqa: B023
            resident.append(resident_bytes())
        sent = traffic.stop()
        until(lambda: pipeline.decided() >= sent, "all is decided")
        summary = pipeline.stop()
    assert summary.drained
    assert summary.totals.counts["rollouts/taken"] == reloads
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    assert {decision["version"] for decision in decisions} == {"1", "2"}
    assert len(noted(config, "promoted")) == reloads
    if reloads >= 100:
        assert resident[-1] - resident[10] < 30 << 20
