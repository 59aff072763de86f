"""Alive is who makes progress while there is something to do; ready is who does its part."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clock import Instant
from pipeline.telemetry.health import NS_PER_S, Health, HealthLimits, Phase, Stalls, Vitals

LIMITS = HealthLimits(loop_ns_max=60 * NS_PER_S, progress_ns_max=120 * NS_PER_S)
WALL_MS = 1_700_000_000_000
DECIDING = Vitals(Phase.DECIDING, partitions=2)


def at(second: float) -> Instant:
    return Instant(int(second * NS_PER_S), WALL_MS + int(second * 1000))


def failing(health: Health, second: float) -> dict[str, str]:
    """What liveness and readiness complain of, and what they say."""
    verdicts = health.alive(at(second)), health.ready(at(second))
    return {check.name: check.says for verdict in verdicts for check in verdict.checks if not check.ok}


def told(vitals: Vitals, second: float) -> Health:
    health = Health(LIMITS, at(0))
    health.beat(at(second).mono_ns)
    health.tell(vitals, at(second).mono_ns)
    return health


def test_from_the_first_moment_it_lives_and_is_not_ready() -> None:
    health = Health(LIMITS, at(0))
    assert health.alive(at(300)).ok
    verdict = health.ready(at(300))
    assert not verdict.ok
    assert verdict.body()["phase"] == "starting"
    checks = verdict.body()["checks"]
    assert checks["models"] == {  # type: ignore[index]
        "ok": False,
        "since": "2023-11-14T22:13:20.000Z",
        "says": "being loaded and warmed",
    }


@pytest.mark.parametrize(
    ("vitals", "missing"),
    [
        (Vitals(Phase.JOINING), {"assignment": "none yet", "state": "of no partition yet"}),
        (Vitals(Phase.RESTORING, 3, 2), {"state": "of 2 of 3 partitions not restored yet"}),
        (DECIDING, {}),
        (Vitals(Phase.DECIDING, 0), {}),
        (Vitals(Phase.DRAINING, 3), {"open": "drains"}),
    ],
)
def test_each_phase_says_what_is_missing(vitals: Vitals, missing: dict[str, str]) -> None:
    assert failing(told(vitals, 5), 6) == missing


def test_a_condition_says_since_when_it_is_as_it_is() -> None:
    health = told(Vitals(Phase.RESTORING, 2, 2), 1)
    for second, restoring in ((2, 2), (3, 1), (4, 0), (5, 0)):
        health.tell(Vitals(Phase.RESTORING if restoring else Phase.DECIDING, 2, restoring), at(second).mono_ns)
    state = next(check for check in health.ready(at(9)).checks if check.name == "state")
    assert (state.ok, state.since_ms) == (True, at(4).wall_ms)
    health.tell(Vitals(Phase.RESTORING, 3, 1), at(10).mono_ns)
    state = next(check for check in health.ready(at(12)).checks if check.name == "state")
    assert (state.ok, state.since_ms) == (False, at(10).wall_ms)


def test_a_loop_that_hangs_is_known_without_its_help() -> None:
    health = told(DECIDING, 10)
    assert failing(health, 70) == {}
    assert failing(health, 70.5) == {"loop": "turned 60.5 s ago, 60 s at most"}
    check = health.alive(at(71)).checks[0]
    assert check.since_ms == at(10).wall_ms
    health.beat(at(72).mono_ns)
    assert failing(health, 73) == {}


def test_a_partition_that_stands_still_with_lag_is_no_life() -> None:
    stalls, health = Stalls(), Health(LIMITS, at(0))
    for second in range(200):
        now_ns = at(second).mono_ns
        moving, standing, idle = ("t/0", (second, 5)), ("t/1", (77, 5)), ("t/2", (9, 0))
        stalled_ns = stalls.observe(dict([moving, standing, idle]), now_ns)
        health.beat(now_ns)
        health.tell(dataclasses.replace(DECIDING, stalled_ns=stalled_ns), now_ns)
        assert health.alive(at(second)).ok == (second <= 120)
    assert failing(health, 199.5) == {"progress": "t/1 has lag and has not moved for 199.0 s, 120 s at most"}


def test_what_a_restart_does_not_mend_is_no_death() -> None:
    """Restored or unreachable, partitions are not asked to move; afterwards they have their time again."""
    stalls = Stalls()
    stalls.observe({"t/0": (5, 5)}, at(0).mono_ns)
    assert stalls.observe({"t/0": (5, 5)}, at(100).mono_ns) == {"t/0": 0}
    stalls.observe({}, at(500).mono_ns)
    assert stalls.observe({"t/0": (5, 5)}, at(600).mono_ns) == {"t/0": at(600).mono_ns}
    assert failing(told(Vitals(Phase.DECIDING, 1, unreachable=True), 600), 601) == {}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60))
def test_stalled_is_who_had_lag_at_one_place_ever_since(history: list[tuple[int, int]]) -> None:
    """By definition: the longest tail at one position in which there was lag, but for its first look."""
    stalls = Stalls()
    for second, (position, lag) in enumerate(history):
        found = stalls.observe({"t/0": (position, lag)}, second)
    tail = len(history) - 1
    while tail > 0 and history[tail][1] > 0 and history[tail - 1][0] == history[tail][0]:
        tail -= 1
    assert found == {"t/0": tail}
