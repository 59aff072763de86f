"""The process on duty: what it knows, from taking over to handing on. Standing by, a process knows nothing."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from pipeline.slo.asking import Sample
from pipeline.slo.config import SloConfig
from pipeline.slo.keeping import Keeper
from pipeline.slo.notify import Notifier, now_ms
from pipeline.slo.outbox import Changes
from pipeline.slo.snapshot import Snapshot, restore, snapshot_of
from pipeline.slo.watch import Watch
from pipeline.wire.metrics import decode_metrics

State = Literal["joining", "standing by", "restoring", "on duty"]

log = logging.getLogger(__name__)


class Duty:
    """Records and samples in, evaluations and snapshots out; all in one event loop.

    A snapshot carries the offsets up to which metrics are counted, and `acknowledge` is called for a record only once
    a snapshot that counts it is written: so the group's offsets never pass the snapshot, and a record that is read
    again is passed over by its offset. Nothing is lost or counted twice, wherever a process is killed.
    """

    def __init__(self, config: SloConfig, notifier: Notifier, keeper: Keeper) -> None:
        self._config = config
        self._notifier = notifier
        self._keeper = keeper
        self.state: State = "joining"
        self.evaluated_ms = 0
        self.sampled_ms = 0
        self.unreadable = 0
        self._ready = asyncio.Event()
        self._evaluating = asyncio.Lock()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.watch = Watch(self._config)
        self.unwritten = Changes()
        self.offsets: dict[int, int] = {}
        self.ends: dict[int, tuple[int, int]] = {}
        self._number = 0
        self._counted: list[Callable[[], None]] = []

    def stand_by(self) -> None:
        """Another process has the metrics topic now."""
        if self.state != "standing by":
            log.info("another process of group %s is on duty, this one stands by", self._config.app.group)
        self.state = "standing by"
        self._ready.clear()
        self._begin_anew()

    def take_over(self, snapshot: Snapshot | None) -> None:
        """Go on from what the process on duty before has written, or begin with empty windows."""
        self._begin_anew()
        if snapshot is not None:
            restore(self.watch, snapshot)
            self.offsets = dict(snapshot.offsets)
            self._number = snapshot.number
            for alert in snapshot.unwritten:
                self.unwritten.told(alert)
            self._notifier.resumed(list(self.watch.firing.values()), snapshot.unsent)
        self.state = "on duty"
        self._ready.set()
        known = f"windows as of {now_ms() - snapshot.at_ms:,} ms ago" if snapshot else "empty windows"
        log.info("on duty with %s", known)

    async def taken(self, partition: int, offset: int, value: bytes, acknowledge: Callable[[], None]) -> None:
        """A record of the metrics topic, in the order of its partition; waits until this process is on duty."""
        await self._ready.wait()
        self._counted.append(acknowledge)
        if offset < self.offsets.get(partition, 0):
            return
        self.offsets[partition] = offset + 1
        try:
            record = decode_metrics(value)
        except ValueError as error:
            self.unreadable += 1
            log.debug("metrics[%d] offset %d: %s", partition, offset, error)
        else:
            self.watch.take(record, now_ms())

    def sampled(self, sample: Sample) -> None:
        """What Kafka said."""
        if self.state == "on duty":
            self.watch.sampled(sample.at_ms, sample.positions)
            self.ends = dict(sample.metrics)
            self.sampled_ms = sample.at_ms

    @property
    def hears_all(self) -> bool:
        """Whether all is read that the metrics topic held at the last sample, and that is not long ago."""
        fresh = now_ms() - self.sampled_ms < 1000 * (2 * self._config.app.evaluate_s + 10)
        read = all(end <= max(low, self.offsets.get(number, 0)) for number, (low, end) in self.ends.items())
        return fresh and bool(self.ends) and read

    async def evaluate(self) -> None:
        """Decide, tell the receivers, and keep what is known; one after the other, whoever calls."""
        async with self._evaluating:
            if self.state == "on duty":
                await self._evaluate()

    async def _evaluate(self) -> None:
        at_ms = now_ms()
        changed = self.watch.evaluate(at_ms, hears_all=self.hears_all)
        # A page that is out before it is written down would begin anew, at another time, with the next process.
        self._notifier.held = bool(changed)
        for alert in changed:
            log.log(
                logging.WARNING if alert.firing else logging.INFO,
                "%s %s: %s",
                alert.severity,
                alert.state,
                alert.summary,
            )
            self.unwritten.told(alert)
            self._notifier.told(alert)
        self.evaluated_ms = at_ms
        try:
            await self._keep(at_ms)
        finally:
            self._notifier.held = False

    async def _keep(self, at_ms: int) -> None:
        """Alerts first, then what is known: a process that is killed between may say an alert again, none is lost."""
        alerts = list(self.unwritten.waiting)
        written = not alerts or await asyncio.to_thread(self._keeper.write, alerts)
        for alert in alerts if written else ():
            self.unwritten.sent(alert)
        if self.state != "on duty":
            return
        self._number += 1
        owed = list(self.unwritten.waiting), list(self._notifier.changes.waiting)
        snapshot = snapshot_of(self.watch, self._number, at_ms, self.offsets, *owed)
        counted, self._counted = self._counted, []
        if await asyncio.to_thread(self._keeper.keep, snapshot):
            _call_all(counted)
        else:
            self._counted = counted + self._counted


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()
