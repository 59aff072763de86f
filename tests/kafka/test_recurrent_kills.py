"""What a model remembers survives its process: killed, started again, moved, every score is the undisturbed one."""

import json
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Producer

from models.train.examples import labels_of
from pipeline.cli.cluster import create_topics
from pipeline.config.load import load
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.chaos.members import Member
from tests.chaos.watch import Watch
from tests.engine.test_same_bits import backfilled
from tests.recurrent_models import NAME, by_card, fraud_models, random_weights
from tests.traffic import assignments, label_records, read, send, transaction_records

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
START_MS = 1_577_836_800_000
ONE = simulated_table(Population(customers=60, terminals=40, terminals_near=10, seed=3), 30, START_MS)
TWO = simulated_table(Population(customers=250, terminals=40, terminals_near=10, seed=3), 6, START_MS)
"""Of six days: two processes may be further apart than the delay of a terminal's windows while partitions move."""
WEIGHTS = random_weights(15, 8)
APART_MAX = 1e-5
QUIET_S, STUCK_S = 1.0, 40.0


class Ground:
    """Topics, a model and a folder for checkpoints; processes of one group over them."""

    def __init__(self, bootstrap: str, suffix: str, folder: Path, table: pa.Table, partitions: int) -> None:
        self.bootstrap, self.suffix, self.folder = bootstrap, suffix, folder
        self.table, self.partitions = table, partitions
        self.records, self.rows = transaction_records(table), table.num_rows
        own = (f"models.folder={folder / 'models'}", f"tiers.primary.model={NAME}", "publish.features=true")
        stored = (f"checkpoint.url={folder / 'state'}", "checkpoint.interval_ms=200", "http.port=0")
        self.given = assignments(bootstrap, *own, *stored, suffix=f"-{suffix}")
        self.config = load("fraud", environ={}, assignments=self.given).config
        fraud_models(folder / "models", tuple(self.config.features), WEIGHTS)
        create_topics({"bootstrap.servers": bootstrap}, dict.fromkeys(self.config.topic_names, partitions), 1, 20_000)
        send(bootstrap, f"labels-{suffix}", label_records(labels_of(table)))

    def member(self, number: int, *more: str) -> Member:
        return Member([*self.given, *more], self.folder / f"member-{number}.log")

    def feed(self, first: int, stop: int, seconds: float) -> threading.Thread:
        """Send events over so long."""
        thread = threading.Thread(target=self._send, args=(self.records[first:stop], seconds), daemon=True)
        thread.start()
        return thread

    def _send(self, records: Sequence[tuple[Any, Any]], seconds: float) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 2})
        begun_s = time.monotonic()
        for number, (key, value) in enumerate(records):
            time.sleep(max(0.0, begun_s + seconds * number / len(records) - time.monotonic()))
            producer.produce(f"transactions-{self.suffix}", value, key, int(key) % self.partitions)
            producer.poll(0)
        assert producer.flush(30) == 0

    def decided(self, watch: Watch) -> list[dict[str, Any]]:
        """All decisions, repeats too, once no more come."""
        count = self.rows
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        until_s, seen = time.monotonic() + STUCK_S, 0
        while len({row["id"] for row in found.values()}) < count and time.monotonic() < until_s:
            watch.wait_for(max(seen + 1, count), time.monotonic() + QUIET_S)
            if watch.seen > seen:
                seen, until_s = watch.seen, time.monotonic() + STUCK_S
            messages = read(self.bootstrap, f"decisions-{self.suffix}", seen) if seen >= count else []
            found = {(m.partition(), m.offset()): json.loads(m.value()) for m in messages}
        assert {row["id"] for row in found.values()} == {str(number) for number in range(count)}
        return list(found.values())

    def wait_for_checkpoints(self) -> None:
        """Until there is one of every partition."""
        until_s = time.monotonic() + STUCK_S
        while (
            len({path.parent for path in (self.folder / "state").rglob("transactions-*/*.manifest")})
            < self.partitions
        ):
            assert time.monotonic() < until_s, "no checkpoint is written"
            time.sleep(0.05)

    def apart(self, found: list[dict[str, Any]]) -> float:
        """How far any decision, repeats too, is from what a card's whole history says of backfilled features."""
        names, features = tuple(self.config.features), backfilled(self.table, self.config)
        rows = np.array([[features[str(i)][name] for name in names] for i in range(self.rows)], np.float32)
        expected = by_card(WEIGHTS, rows, self.table["customer_id"].to_pylist())
        return max(abs(row["score"] - expected[int(row["id"])]) for row in found)


def wait_for_word(member: Member, word: str) -> None:
    until_s = time.monotonic() + STUCK_S
    while word not in member.log_file.read_text():
        assert time.monotonic() < until_s, member.last_words()
        time.sleep(0.05)


def restored_keys(member: Member) -> list[int]:
    """Keys that came from checkpoints of partitions, restore by restore."""
    log = member.log_file.read_text()
    return [int(keys) for keys in re.findall(r"transactions-\w+-\d: (\d+) keys restored from checkpoint", log)]


@pytest.mark.parametrize(("guarantee", "lives"), [("at_least_once", 3), ("exactly_once", 2)])
def test_killed_again_and_again_every_score_is_the_undisturbed_one(
    kafka_bootstrap: str, topic_suffix: str, tmp_path: Path, guarantee: str, lives: int
) -> None:
    ground = Ground(kafka_bootstrap, topic_suffix, tmp_path, ONE, 1)
    member = ground.member(1, "kafka.group.instance.id=one", f"delivery.guarantee={guarantee}", "engine.commit_ms=20")
    with Watch(ground.bootstrap, f"decisions-{ground.suffix}") as watch:
        try:
            for life in range(lives):
                first, stop = (ground.rows * number // lives for number in (life, life + 1))
                member.start()
                feeding, killed = ground.feed(first, stop, 3.0), first + (stop - first) * 2 // 3
                if life < lives - 1:
                    assert watch.wait_for(killed, time.monotonic() + STUCK_S), member.last_words()
                    ground.wait_for_checkpoints()
                    member.kill()
                feeding.join()
            found = ground.decided(watch)
            assert member.stop() == 0, member.last_words()
        finally:
            member.kill()
    assert not member.surprises
    assert all(row["outcome"] == "scored" for row in found)
    assert len([keys for keys in restored_keys(member) if keys]) == lives - 1, member.last_words(60)
    assert ground.apart(found) < APART_MAX


def test_a_partition_that_moves_takes_along_what_its_model_remembers(
    kafka_bootstrap: str, topic_suffix: str, tmp_path: Path
) -> None:
    ground = Ground(kafka_bootstrap, topic_suffix, tmp_path, TWO, 2)
    members, half = [ground.member(number) for number in range(2)], ground.rows // 2
    with Watch(ground.bootstrap, f"decisions-{ground.suffix}") as watch:
        try:
            members[0].start()
            ground.feed(0, half, 1.0).join()
            assert watch.wait_for(half, time.monotonic() + STUCK_S), members[0].last_words()
            ground.wait_for_checkpoints()
            members[1].start()
            feeding = ground.feed(half, half + half // 2, 2.0)
            wait_for_word(members[1], "state is whole")
            feeding.join()
            assert members[0].stop() == 0, members[0].last_words()
            ground.feed(half + half // 2, ground.rows, 0.5).join()
            found = ground.decided(watch)
            assert members[1].stop() == 0, members[1].last_words()
        finally:
            for member in members:
                member.kill()
    assert len([keys for keys in restored_keys(members[1]) if keys]) == 2, members[1].last_words(60)
    assert ground.apart(found) < APART_MAX
