"""What follows from what is in force, how records are read, and who is told."""

from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.rollout.course import (
    Course,
    RolloutRefusedError,
    begun,
    held,
    next_share,
    promoted,
    rolled_back,
    shared,
)
from pipeline.wire.audit import AuditRecord, decode_audit
from pipeline.wire.rollout import ModelRef, RolloutRecord, decode_rollout

ONE, TWO, THREE = (ModelRef("fraud-gbt", version) for version in "123")
START = RolloutRecord(
    pipeline="fraud", tier="primary", rollout="configured", event="rolled_back", stable=ONE, at_ms=0, by="me"
)
CANARY = begun(START, TWO, "r1", 0.01, shadow=False, auto=True)


def test_a_rollout_goes_its_way() -> None:
    assert (CANARY.candidate, CANARY.share, CANARY.event, CANARY.rollout) == (TWO, 0.01, "started", "r1")
    wider = shared(CANARY, 0.25)
    assert (wider.share, wider.candidate, wider.rollout) == (0.25, TWO, "r1")
    assert (held(wider).auto, held(wider).share) == (False, 0.25)
    done = promoted(wider)
    assert (done.stable, done.previous, done.candidate, done.share) == (TWO, ONE, None, 0.0)
    back = rolled_back(done)
    assert (back.stable, back.previous) == (ONE, None)
    assert (rolled_back(wider).stable, rolled_back(wider).candidate) == (ONE, None)
    shadow = begun(START, TWO, "r2", 0.5, shadow=True, auto=True)
    assert (shadow.share, shadow.shadow) == (0.0, True)
    assert (shared(shadow, 0.01).shadow, shared(shadow, 0.01).share) == (False, 0.01)
    assert promoted(START, THREE).stable == THREE


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda: begun(CANARY, THREE, "r2", 0.1, shadow=False, auto=True), "fraud-gbt/2 is beside fraud-gbt/1"),
        (lambda: begun(START, ONE, "r2", 0.1, shadow=False, auto=True), "fraud-gbt/1 is the stable version already"),
        (lambda: shared(START, 0.1), "there is no candidate"),
        (lambda: held(START), "there is no candidate"),
        (lambda: promoted(START), "there is no candidate"),
        (lambda: promoted(START, ONE), "is the stable version already"),
        (lambda: rolled_back(START), "nothing before fraud-gbt/1"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(step: object, says: str) -> None:
    with pytest.raises(RolloutRefusedError, match=says):
        step()  # type: ignore[operator]


def test_steps_rise_and_end() -> None:
    assert [next_share((0.01, 0.05, 1.0), share) for share in (0.0, 0.01, 0.02, 0.05, 1.0)] == [
        0.01,
        0.05,
        0.05,
        1.0,
        None,
    ]


def test_what_was_rolled_back_stays_so_in_whatever_order_two_processes_write() -> None:
    ours, theirs = rolled_back(CANARY, "bad"), shared(CANARY, 0.05)
    for order in permutations((ours, theirs)):
        course = Course(START)
        course.take(CANARY)
        instead = [course.take(record) for record in order]
        assert course.now == ours
        assert instead == ([None, ours] if order[0] is ours else [None, None])
    late = Course(START)
    for record in (CANARY, ours, promoted(CANARY)):
        late.take(record)
    assert late.now == ours
    late.take(begun(ours, TWO, "r2", 0.01, shadow=False, auto=True))
    assert late.now.candidate == TWO, "a new rollout of the same version is another try"
    late.take(None)
    assert late.now == START


VERSIONS = st.sampled_from((ONE, TWO, THREE))
NUMBERS = st.integers(0, 9)
STEPS = st.one_of(
    st.builds(
        lambda v, n: lambda now: begun(now, v, f"r{n}", 0.1, shadow=False, auto=True), VERSIONS, st.integers(0, 9)
    ),
    st.builds(lambda share: lambda now: shared(now, share), st.floats(0.01, 1.0)),
    st.just(held),
    st.just(promoted),
    st.just(rolled_back),
)


@given(st.lists(STEPS, max_size=12))
def test_whatever_is_asked_for_what_is_in_force_is_whole_and_survives_the_wire(steps: list[object]) -> None:
    now = START
    for step in steps:
        try:
            now = step(now)  # type: ignore[operator]
        except RolloutRefusedError:
            continue
        assert decode_rollout(now.encode()) == now
        assert (now.share > 0) <= (now.candidate is not None)
        assert now.candidate is None or not now.candidate.same(now.stable)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 2}, "version 2, expected 1"),
        ({"share": 1.5}, "share"),
        ({"share": 0.0, "candidate": None}, "needs a candidate"),
        ({"event": "promoted"}, "has no candidate"),
        ({"shadow": True}, "expected 0 in shadow"),
        ({"event": "lost"}, "event"),
        ({"tier": "pri mary"}, "tier"),
        ({"candidate": {"model": "../x", "version": "2"}}, "candidate"),
        ({"candidate": {"model": "x", "version": "2", "sha256": "abc"}}, "sha256"),
        ({"candidate": {"model": "x", "version": "2", "path": "y"}}, "path"),
        ({"stable": None}, "stable"),
    ],
)
def test_a_bad_record_is_named(change: dict[str, object], says: str) -> None:
    content = msgspec.json.decode(CANARY.encode())
    assert decode_rollout(msgspec.json.encode({**content, "later": 1})) == CANARY, "fields may be added"
    with pytest.raises(ValueError, match=says):
        decode_rollout(msgspec.json.encode({**content, **change}))


def test_the_same_version_is_known_by_its_file_where_both_know_it() -> None:
    known, other = replace(TWO, sha256="a" * 64), replace(TWO, sha256="b" * 64)
    assert known.same(TWO)
    assert TWO.same(known)
    assert not known.same(other)
    assert not ONE.same(TWO)


def test_audit_records_survive_the_wire() -> None:
    record = AuditRecord(
        pipeline="fraud",
        instance="host-1",
        at_ms=5,
        event="promoted",
        tier="primary",
        model="fraud-gbt",
        version="2",
        offsets={"transactions/0": (10, 17)},
    )
    assert decode_audit(record.encode()) == record
    with pytest.raises(ValueError, match="not an audit record"):
        decode_audit(b'{"v":1,"event":"lost"}')
