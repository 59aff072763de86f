"""What the chaos runs feed: a history that only fills windows, then the storm's events, some of them broken.

The storm is shorter than the delay of the terminals' windows: features are exact as long as partitions are not
further apart than that, however they move between processes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from confluent_kafka import Producer

START_MS = 1_577_836_800_000
DAY_MS = 86_400_000
DELAY_MS = 7 * DAY_MS
SLICE_ROWS = 20_000
BAD = (b"not json", b'{"transaction_id":1}', b'{"transaction_id":1,"event_time":"yesterday"}', b"")


@dataclass(frozen=True)
class Plan:
    """How much of what; the same plan makes the same records at the same offsets."""

    events: int = 60_000
    history: int = 20_000
    history_days: float = 40.0
    storm_days: float = 6.5
    customers: int = 800
    terminals: int = 600
    partitions: int = 4
    bad_every: int = 997
    seed: int = 11


class Traffic:
    """The events of a plan as columns, in time order; a customer's are all in one partition."""

    def __init__(self, plan: Plan) -> None:
        rng = np.random.default_rng(plan.seed)
        n = plan.history + plan.events
        spans = (plan.history_days * DAY_MS, plan.storm_days * DAY_MS)
        parts = [
            np.sort(rng.integers(0, int(span), rows))
            for span, rows in zip(spans, (plan.history, plan.events), strict=True)
        ]
        # Whole minutes, so that many events of an entity have the same time.
        self.time_ms = START_MS + np.concatenate((parts[0], parts[1] + int(spans[0]))) // 60_000 * 60_000
        self.customer = (plan.customers * rng.random(n) ** 1.5).astype(np.int64)
        self.terminal = (plan.terminals * rng.random(n) ** 1.5).astype(np.int64)
        self.cents = np.minimum(rng.lognormal(8, 1, n), 1e6).astype(np.int64)
        self.fraud = (rng.random(n) < np.where(self.terminal % 7 == 0, 0.2, 0.01)).nonzero()[0]
        self.withdrawn = self.fraud[rng.random(len(self.fraud)) < 0.1]
        self.partition = self.customer % plan.partitions
        self.plan = plan

    def storm_starts(self) -> dict[int, int]:
        """Partition -> the offset of its first event of the storm."""
        history = self.partition[: self.plan.history]
        return {p: int((history == p).sum()) for p in range(self.plan.partitions)}

    def records(self, first: int, last: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(partition, key, value) of the rows from `first` to before `last`."""
        every = self.plan.bad_every
        columns = (self.time_ms, self.customer, self.terminal, self.cents, self.partition)
        rows = zip(range(first, last), *(column[first:last].tolist() for column in columns), strict=True)
        for row, at_ms, customer, terminal, cents, partition in rows:
            if row % every == every - 1:
                value = BAD[row // every % len(BAD)]
            else:
                value = (
                    b'{"transaction_id":%d,"event_time":%d,"customer_id":%d,"terminal_id":%d,"amount":%d.%02d}'
                    % (row, at_ms, customer, terminal, cents // 100, cents % 100)
                )
            yield partition, b"%d" % customer, value

    def labels(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Each fraud as it is reported a week later; some are taken back at once."""
        withdrawn = set(self.withdrawn.tolist())
        for row in self.fraud.tolist():
            for verdict in (b"true", b"false")[: 1 + (row in withdrawn)]:
                at_ms = int(self.time_ms[row])
                value = (
                    b'{"transaction_id":%d,"event_time":%d,"terminal_id":%d,"customer_id":%d,"fraud":%s,"reported_at":%d}'
                    % (row, at_ms, self.terminal[row], self.customer[row], verdict, at_ms + DELAY_MS)
                )
                yield row % 2, b"%d" % row, value


class Sender:
    """Sends records to their partitions in order, and knows that all arrived."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0}
        )
        self._failed: list[Any] = []

    def _delivered(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failed.append(error)

    def send(self, topic: str, records: Iterator[tuple[int, bytes, bytes]]) -> None:
        """Hand over; waits only where the client's queue is full."""
        for partition, key, value in records:
            while True:
                try:
                    self._producer.produce(topic, value, key, partition, on_delivery=self._delivered)
                    break
                except BufferError:
                    self._producer.poll(0.05)
        self._producer.poll(0)

    def finish(self) -> None:
        """Wait until all is delivered."""
        assert self._producer.flush(120) == 0, "the input could not be sent"
        assert not self._failed, self._failed[0]


def send_history(bootstrap: str, traffic: Traffic, transactions: str, labels: str) -> None:
    """All labels, and the events before the storm."""
    sender = Sender(bootstrap)
    sender.send(labels, traffic.labels())
    sender.send(transactions, traffic.records(0, traffic.plan.history))
    sender.finish()


def send_storm(bootstrap: str, traffic: Traffic, transactions: str, rows: range, rate: float) -> None:
    """Rows of the storm, all at once or so many a second."""
    sender, started_s = Sender(bootstrap), time.monotonic()
    rows_a_turn = max(1, int(rate / 100)) if rate else SLICE_ROWS
    for first in rows[::rows_a_turn]:
        if rate:
            time.sleep(max(0.0, started_s + (first - rows.start) / rate - time.monotonic()))
        sender.send(transactions, traffic.records(first, min(first + rows_a_turn, rows.stop)))
    sender.finish()
