"""Both configurations as they really run: the recording's events to one and then to the other, round by round.

Each side is a process over a cluster of its own. A round's traffic goes to A and then to B, the next round's to B and
then to A, so that what the machine does beside it hits both, and a drift of it neither more.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import HeadraceError
from pipeline.evaluation.member_process import MemberProcess
from pipeline.evaluation.recording import Recording, RecordingError, times_of
from pipeline.evaluation.side import Side, apart
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.tables import json_values
from pipeline.wire.metrics import MetricsRecord, merged

PARTITIONS = 8
TICK_S = 0.002
START_S_MAX, ANSWER_S_MAX = 300.0, 30.0
ROUND_EVENTS_MIN = 50
RATE_DEFAULT = 2000.0
QUEUED_ROWS_MAX = 90_000

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How the recording is played: `rounds` of equal length that last `seconds` together, after one to warm up.

    At `rate` events a second, or `speed_up` times as fast as it was recorded.
    """

    seconds: float
    rounds: int
    rate: float | None = None
    speed_up: float | None = None

    @property
    def round_s(self) -> float:
        """How long one round's traffic lasts."""
        return self.seconds / self.rounds


@dataclass(frozen=True)
class Round:
    """What one side did with one round's traffic, until all of it was answered and delivered."""

    sent: int
    cpu_s: float
    record: MetricsRecord
    behind_ms: float

    @property
    def decided(self) -> int:
        """Events with an outcome."""
        return _answered(self.record)


@dataclass(frozen=True)
class _Part:
    """What is sent in one round: due times from its beginning, and for each its topic, key and value."""

    due_s: list[float]
    records: list[tuple[str, bytes, bytes]]
    events: int


def due_times(time_ms: NDArray[np.int64], pace: Pace) -> tuple[NDArray[np.float64], float]:
    """When each judged event is sent, in seconds from the first, and the mean rate of what is sent at all.

    Raises RecordingError where the recording does not last.
    """
    whole_s = pace.round_s * (pace.rounds + 1)
    if pace.speed_up is not None:
        due_s = (time_ms - time_ms[0]) / 1000 / pace.speed_up
    else:
        rate = pace.rate or min(RATE_DEFAULT, len(time_ms) / whole_s)
        due_s = np.arange(len(time_ms)) / rate
    used = int(np.searchsorted(due_s, whole_s))
    lasts_s = float(due_s[-1]) * len(due_s) / max(len(due_s) - 1, 1)
    if lasts_s < whole_s * (1 - 1e-6):
        raise RecordingError(
            f"{len(time_ms):,} judged events last {lasts_s:.1f} s at that speed, and {pace.rounds} rounds and one to "
            f"warm up take {whole_s:.1f} s: lower --rate, --speed-up or --seconds, or judge more events"
        )
    counts = np.histogram(due_s[:used], bins=pace.rounds + 1, range=(0, whole_s))[0]
    if counts.min() < ROUND_EVENTS_MIN:
        raise RecordingError(
            f"a round of {pace.round_s:.1f} s has {int(counts.min())} events, expected {ROUND_EVENTS_MIN} or more: "
            f"raise --rate, --speed-up or --seconds, or lower --rounds"
        )
    return due_s[:used], used / whole_s


def run_rounds(
    recording: Recording, sides: Sequence[Side], pace: Pace, due_s: NDArray[np.float64], tell: Tell
) -> list[list[Round]]:
    """Each side's rounds, in the recording's order. Raises HeadraceError when a side ends or does not answer."""
    parts = {side.letter: _parts(recording, side, pace, due_s) for side in sides}
    made: dict[str, list[Round]] = {side.letter: [] for side in sides}
    with ExitStack() as stack:
        players = []
        for side in sides:
            config = apart(side.config, side.letter, "localhost:1", replay=False)
            cluster = stack.enter_context(EmbeddedCluster(dict.fromkeys(config.topic_names, PARTITIONS)))
            member = stack.enter_context(MemberProcess(side, cluster.bootstrap, replay=False))
            players.append(_Player(side, member, cluster.bootstrap))
        for player in players:
            tell(f"{player.side.letter} starts")
            player.member.wait(bool, START_S_MAX, "models were not warm")
        for number in range(pace.rounds + 1):
            for player in players if number % 2 else players[::-1]:
                letter = player.side.letter
                what = f"round {number} of {pace.rounds}" if number else "warming up"
                tell(f"{what}: {letter}, {parts[letter][number].events:,} events in {pace.round_s:.1f} s")
                played = player.play(parts[letter][number])
                if number:
                    made[letter].append(played)
    return [made[side.letter] for side in sides]


class _Player:
    """Sends one side its traffic, and waits until it has answered all of it."""

    def __init__(self, side: Side, member: MemberProcess, bootstrap: str) -> None:
        from confluent_kafka import Producer

        settings = {"bootstrap.servers": bootstrap, "linger.ms": 1, "log_level": 0}
        self.side = side
        self.member = member
        self._producer = Producer({**settings, "enable.idempotence": True, "partitioner": "murmur2_random"})
        self._asked = 0

    def play(self, part: _Part) -> Round:
        before = len(self.member.told)
        behind_ms = self._send(part)
        self._asked += part.events
        asked = self._asked
        self.member.wait(
            lambda told: sum(one.record.delivered for one in told if one.record is not None) >= asked,
            ANSWER_S_MAX,
            f"not all of {part.events:,} events were answered",
        )
        told = self.member.told[before:]
        records = [one.record for one in told if one.record is not None]
        cpu_s = told[-1].cpu_s - self.member.told[before - 1].cpu_s
        return Round(part.events, cpu_s, reduce(merged, records), behind_ms)

    def _send(self, part: _Part) -> float:
        """Send each record when it is due, whatever became of those before; returns how late one was at most."""
        sent, behind_s, began_s = 0, 0.0, time.monotonic()
        while sent < len(part.records):
            now_s = time.monotonic() - began_s
            if part.due_s[sent] > now_s:
                time.sleep(min(TICK_S, part.due_s[sent] - now_s))
                continue
            behind_s = max(behind_s, now_s - part.due_s[sent])
            while len(self._producer) > QUEUED_ROWS_MAX:
                self._producer.poll(0.001)
            topic, key, value = part.records[sent]
            self._producer.produce(topic, value, key)
            sent += 1
            if not sent % 100:
                self._producer.poll(0)
        if self._producer.flush(ANSWER_S_MAX):
            raise HeadraceError(f"{self.side.letter}: not all events reached the embedded cluster")
        return behind_s * 1000


def _parts(recording: Recording, side: Side, pace: Pace, due_s: NDArray[np.float64]) -> list[_Part]:
    """The traffic of each round, the one to warm up first; what feeds state is sent with the events of its time."""
    config, used = side.config, len(due_s)
    events = recording.events.slice(recording.first, used)
    whole = [_records(config.inputs[config.catalog.deciding_input].topic, recording.spec.key, events)]
    whole_due = [due_s]
    for name, table in recording.state.items():
        if name in config.inputs:
            spec = config.inputs[name]
            known_ms = times_of(table, spec.order_time)
            first, last = np.searchsorted(known_ms, [recording.time_ms[0], recording.time_ms[used - 1]])
            at = np.searchsorted(recording.time_ms[:used], known_ms[first:last])
            whole.append(_records(spec.topic, spec.key, table.slice(int(first), int(last - first))))
            whole_due.append(due_s[at])
    due = np.concatenate(whole_due)
    order = np.argsort(due, kind="stable")
    asks = np.arange(len(due)) < used
    records = [record for part in whole for record in part]
    edges = np.searchsorted(due[order], np.arange(pace.rounds + 2) * pace.round_s)
    edges[-1] = len(order)
    parts = []
    for number, (first, last) in enumerate(pairwise(edges.tolist())):
        rows = order[first:last]
        begins_s = number * pace.round_s
        parts.append(_Part((due[rows] - begins_s).tolist(), [records[row] for row in rows], int(asks[rows].sum())))
    return parts


def _records(topic: str, key: str, table: pa.Table) -> list[tuple[str, bytes, bytes]]:
    keys = table[key].cast(pa.string()).to_pylist()
    values = [value for batch in table.to_batches() for value in json_values(batch)]
    return [(topic, name.encode(), value) for name, value in zip(keys, values, strict=True)]


def _answered(record: MetricsRecord) -> int:
    return sum(record.outcomes.get(name, 0) for name in ("scored", "degraded", "expired", "dead_letter"))
