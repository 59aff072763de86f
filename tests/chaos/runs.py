"""The four runs: processes killed, processes that come and go, brokers killed, two processes against one."""

import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.kafka.jar_cluster import JarCluster
from tests.chaos.checker import Verdict
from tests.chaos.ground import Ground
from tests.chaos.members import Member
from tests.chaos.watch import Watch

STUCK_S = 60.0
"""Without a decision for so long, a run has come to an end, and not a good one."""
QUIET_S = 1.0
FIRST_ROWS = 200
EARLY_SHARE = 0.2
"""Of the kills, how many hit a process before it decides anything: while it starts, or takes its state in."""
EARLY_S_MAX = 2.5


@dataclass(frozen=True)
class Report:
    """How a run went: what was verified, and how long a reader of the decisions saw none."""

    what: str
    verdict: Verdict
    seconds: float
    pauses_s: list[float]
    surprises: list[str]

    def __str__(self) -> str:
        verdict, worst = self.verdict, ", ".join(f"{pause:.1f}" for pause in self.pauses_s[:5])
        return (
            f"{self.what}: {verdict.decisions:,} decided and {verdict.dead_letters} dead letters in "
            f"{self.seconds:.0f} s, {verdict.repeats:,} repeats, scores {verdict.score_apart_max:.1e} apart; "
            f"longest pauses of decisions {worst} s; {len(self.surprises)} processes ended by themselves"
        )


@contextmanager
def kept_running(members: Sequence[Member]) -> Iterator[None]:
    """Whatever happens, no process is left."""
    try:
        yield
    finally:
        for member in members:
            member.kill()


def finish(ground: Ground, name: str, what: str, members: Sequence[Member], watch: Watch, started_s: float) -> Report:
    """Wait until every event has its outcome (processes that ended are started again), stop, verify."""
    events = int(ground.truth().inputs.good.sum()) - _good_history(ground)
    until_s = time.monotonic() + STUCK_S
    last = watch.seen
    while time.monotonic() < until_s:
        _revive(members)
        watch.wait_for(watch.seen + 1, time.monotonic() + 0.2)
        if watch.seen > last:
            last, until_s = watch.seen, time.monotonic() + STUCK_S
        elif watch.seen >= events and time.monotonic() - watch.arrivals_s[-1] > QUIET_S:
            break
    seconds = watch.arrivals_s[-1] - started_s if watch.arrivals_s else STUCK_S
    codes = [member.stop() for member in members]
    verdict = ground.check(name)
    # A process that SIGTERM finds before it listens is ended by it, and had not begun.
    told = "\n".join(surprise for member in members for surprise in member.surprises)
    assert {0, -signal.SIGTERM} >= set(codes), f"{codes}: {told or members[0].last_words()}"
    surprises = [surprise for member in members for surprise in member.surprises]
    report = Report(what, verdict, seconds, watch.pauses_s(started_s), surprises)
    ground.how.tell(str(report))
    for surprise in surprises:
        ground.how.tell(f"a process {surprise.splitlines()[0]} {surprise.splitlines()[-1]}")
    ground.clear(name)
    return report


def _good_history(ground: Ground) -> int:
    inputs, starts = ground.truth().inputs, ground.traffic.storm_starts()
    return sum(int(inputs.good[inputs.starts[p] : inputs.starts[p] + start].sum()) for p, start in starts.items())


def kill_processes(ground: Ground, kills: int, seed: int = 1) -> Report:
    """SIGKILL the process so many times at random moments of its work on the backlog; it is restarted at once."""
    name, rng, started_s = ground.begin("kills"), random.Random(seed), time.monotonic()
    (member,) = members = ground.members(name, 1, static=True)
    with Watch(ground.bootstrap, f"decisions-{name}") as watch, kept_running(members):
        for number in range(kills):
            member.start()
            if rng.random() < EARLY_SHARE:
                time.sleep(rng.uniform(0, EARLY_S_MAX))
            else:
                more = int(rng.uniform(0, 1.8 * ground.plan.events / (kills + 1)))
                watch.wait_for(watch.seen + 1 + more, time.monotonic() + STUCK_S)
            member.kill()
            if number % 10 == 9:
                ground.how.tell(f"killed {number + 1} times, {watch.seen:,} decisions seen")
        return finish(ground, name, f"{kills} kills", members, watch, started_s)


def come_and_go(ground: Ground, moves: int, every_s: float = 2.0, seed: int = 1) -> Report:
    """Three processes, of which one leaves (in order, or killed) or joins every so many seconds, under load."""
    name, rng = ground.begin("storm"), random.Random(seed)
    members = ground.members(name, 3, static=False)
    with Watch(ground.bootstrap, f"decisions-{name}") as watch, kept_running(members):
        for member in members:
            member.start()
        sender, started_s = _send_slowly(ground, watch, moves * every_s)
        for number in range(moves):
            time.sleep(max(0.0, started_s + (number + 1) * every_s - time.monotonic()))
            ground.how.tell(f"{_move(members, rng)}, {watch.seen:,} decisions seen")
        sender.join()
        return finish(ground, name, f"{moves} moves", members, watch, started_s)


def _send_slowly(ground: Ground, watch: Watch, seconds: float) -> tuple[threading.Thread, float]:
    """Once the first process decides, send the storm over so long; returns who sends, and since when."""
    ground.send_storm(rows=FIRST_ROWS)
    watch.wait_for(1, time.monotonic() + STUCK_S)
    sender = threading.Thread(target=ground.send_storm, args=(ground.plan.events / seconds,), daemon=True)
    sender.start()
    return sender, time.monotonic()


def _move(members: Sequence[Member], rng: random.Random) -> str:
    running = [member.look() for member in members]
    leaves = sum(running) == len(members) or (sum(running) > 1 and rng.random() < 0.5)
    number = rng.choice([number for number, runs in enumerate(running) if runs == leaves])
    if not leaves:
        members[number].start()
        return f"process {number} joins"
    if rng.random() < 0.5:
        members[number].kill()
        return f"process {number} is killed"
    # In a thread: the next move does not wait for its drain.
    threading.Thread(target=members[number].stop, daemon=True).start()
    return f"process {number} leaves"


def kill_brokers(ground: Ground, cluster: JarCluster, before_s: float = 2.0, after_s: float = 13.0) -> Report:
    """Each broker is killed in turn under load, and comes back before the next one goes.

    A broker's share of the events comes over `before_s` seconds before its death and `after_s` after it.
    """
    name, brokers = ground.begin("brokers"), len(cluster.brokers)
    members = ground.members(name, 2, static=True)
    rows = (ground.plan.events - FIRST_ROWS) // brokers
    rate = rows / (before_s + after_s)
    with Watch(ground.bootstrap, f"decisions-{name}") as watch, kept_running(members):
        for member in members:
            member.start()
        ground.send_storm(rows=FIRST_ROWS)
        watch.wait_for(1, time.monotonic() + STUCK_S)
        started_s = time.monotonic()
        for number in range(1, brokers + 1):
            last = None if number == brokers else rows
            sender = threading.Thread(target=ground.send_storm, args=(rate, last), daemon=True)
            sender.start()
            time.sleep(before_s)
            killed_s = time.monotonic()
            cluster.broker(number).kill()
            while sender.is_alive():
                _revive(members)
                sender.join(0.1)
            longest = max(watch.pauses_s(killed_s), default=0.0)
            ground.how.tell(f"broker {number} was killed: a reader saw nothing for {longest:.1f} s")
            cluster.broker(number).start()
            wait_for_replicas(ground.bootstrap, brokers)
        return finish(ground, name, "each broker killed", members, watch, started_s)


def _revive(members: Sequence[Member]) -> None:
    """What ended by itself is started again, as a supervisor does."""
    for member in members:
        if not member.look():
            member.start()


def wait_for_replicas(bootstrap: str, replicas: int) -> None:
    """Until every partition has all its replicas in sync: only then may the next broker die."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    until_s = time.monotonic() + STUCK_S
    while time.monotonic() < until_s:
        topics = admin.list_topics(timeout=10).topics.values()
        if all(len(part.isrs) == replicas for topic in topics for part in topic.partitions.values()):
            return
        time.sleep(0.2)
    raise AssertionError("the replicas did not come back")


def share(ground: Ground, processes: int) -> Report:
    """So many processes work off the backlog together; with one it is the run that others are compared to."""
    name, started_s = ground.begin("share"), time.monotonic()
    members = ground.members(name, processes, static=True)
    with Watch(ground.bootstrap, f"decisions-{name}") as watch, kept_running(members):
        for member in members:
            member.start()
        return finish(ground, name, f"{processes} processes", members, watch, started_s)
