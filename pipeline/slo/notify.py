"""Posting alerts to Alertmanager and to a webhook. A receiver that fails delays nothing but itself."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from pipeline.clock import rfc3339
from pipeline.slo.config import SloConfig
from pipeline.slo.outbox import Changes, Levels
from pipeline.wire.alert import AlertKind, AlertRecord

ALERT_NAMES: dict[AlertKind, str] = {
    "burn": "HeadraceBudgetBurn",
    "instance-silent": "HeadraceInstanceSilent",
    "silent": "HeadracePipelineSilent",
    "stuck": "HeadracePartitionStuck",
}
SUBJECT_LABELS: dict[AlertKind, str] = {"instance-silent": "instance_id", "stuck": "partition"}
TIMEOUT_S = 5.0
KEEP_REPEATS, KEEP_MS_MIN = 4, 120_000
"""Alertmanager keeps an alert that fires for so many times the interval at which it is posted again, and for as long
as another process takes to come on duty.
"""
_TURN_S = 0.2

log = logging.getLogger(__name__)


class RefusedPostError(Exception):
    """The receiver says that what it got is wrong: trying again is of no use."""


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def alertmanager_form(alert: AlertRecord, began_ms: int, ends_ms: int) -> dict[str, Any]:
    """An alert as Alertmanager's v2 API takes it. Labels are what makes it the same alert again."""
    labels = {
        "alertname": ALERT_NAMES[alert.kind],
        "severity": alert.severity,
        "slo": alert.slo,
        "pipeline": alert.pipeline,
        "evaluator": "slo",
    }
    if alert.kind in SUBJECT_LABELS:
        labels[SUBJECT_LABELS[alert.kind]] = alert.subject
    numbers = {"long_burn": alert.long_burn, "short_burn": alert.short_burn, "budget_left": alert.budget_left}
    annotations = {name: f"{value:.4g}" for name, value in numbers.items() if value is not None}
    return {
        "labels": labels,
        "annotations": {"summary": alert.summary, **annotations},
        "startsAt": rfc3339(began_ms / 1000),
        "endsAt": rfc3339(max(began_ms, ends_ms) / 1000),
    }


class Notifier:
    """Both receivers, each with what it is owed. All in one event loop."""

    def __init__(self, config: SloConfig) -> None:
        self._alertmanager = config.alertmanager.url.rstrip("/")
        self._webhook = config.webhook.url
        self._keep_ms = max(KEEP_MS_MIN, round(KEEP_REPEATS * 1000 * config.alertmanager.repeat_s))
        self.levels = Levels(round(1000 * config.alertmanager.repeat_s))
        self.changes = Changes()
        self.failures = {"alertmanager": 0, "webhook": 0}
        self.held = False
        """Whether nothing is sent for now: while what was told last is written down."""
        self._failing: set[str] = set()

    def told(self, alert: AlertRecord) -> None:
        """An alert begins or ends."""
        if self._alertmanager:
            self.levels.told(alert, now_ms())
        if self._webhook:
            self.changes.told(alert)

    def resumed(self, firing: list[AlertRecord], changes: list[AlertRecord]) -> None:
        """What fires, and what the webhook was still owed, by the word of the process before."""
        for alert in firing if self._alertmanager else ():
            self.levels.told(alert, now_ms())
        for alert in changes if self._webhook else ():
            self.changes.told(alert)

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            await asyncio.gather(
                self._turn("alertmanager", lambda: self._post_levels(session)),
                self._turn("webhook", lambda: self._post_change(session)),
            )

    async def _turn(self, receiver: str, post: Callable[[], Awaitable[bool]]) -> None:
        backoff = self.levels.backoff if receiver == "alertmanager" else self.changes.backoff
        while True:
            try:
                if self.held or not await post():
                    await asyncio.sleep(_TURN_S)
                elif receiver in self._failing:
                    self._failing.discard(receiver)
                    log.info("%s takes alerts again", receiver)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                backoff.failed(now_ms())
                self._failed(receiver, error)

    def _failed(self, receiver: str, error: Exception) -> None:
        self.failures[receiver] += 1
        if receiver not in self._failing:
            self._failing.add(receiver)
            log.warning("%s does not take alerts, tried again: %s", receiver, error or type(error).__name__)

    async def _post_levels(self, session: aiohttp.ClientSession) -> bool:
        due = self.levels.due(now_ms())
        if not due:
            return False
        body = [self._form(alert) for alert in due]
        try:
            await _post(session, f"{self._alertmanager}/api/v2/alerts", body)
        except RefusedPostError as error:
            self.levels.backoff.failed(now_ms())
            self._failed("alertmanager", error)
            return False
        self.levels.sent(due, now_ms())
        return True

    def _form(self, alert: AlertRecord) -> dict[str, Any]:
        began_ms = self.levels.began_ms.get(alert.key, alert.since_ms)
        return alertmanager_form(alert, began_ms, now_ms() + self._keep_ms if alert.firing else alert.since_ms)

    async def _post_change(self, session: aiohttp.ClientSession) -> bool:
        alert = self.changes.due(now_ms())
        if alert is None:
            return False
        try:
            await _post(session, self._webhook, alert.encode())
        except RefusedPostError as error:
            self._failed("webhook", error)
            self.changes.dropped += 1
            self.changes.sent(alert)
            return False
        self.changes.sent(alert)
        return True


async def _post(session: aiohttp.ClientSession, url: str, body: Any) -> None:
    """Raises RefusedPostError when what was sent is at fault (4xx but 408 and 429), ClientError when it is not."""
    sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with session.post(url, headers={"Content-Type": "application/json"}, **sent) as answer:
        if answer.status < 300:
            return
        text = f"{url} answered {answer.status}: {(await answer.text())[:200]}"
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            raise RefusedPostError(text)
        raise aiohttp.ClientError(text)
