"""What receivers of alerts are still owed, in bounded queues: decides what to send when; sends nothing itself."""

from collections import deque
from collections.abc import Iterable

from pipeline.wire.alert import AlertRecord

WAITING_MAX = 1000
"""Alerts kept for a receiver that does not answer; beyond it the oldest are given up, and counted."""
BACKOFF_MS = 1000
BACKOFF_MS_MAX = 60_000


class Backoff:
    """When to try again: after 1 s, 2 s, 4 s and so on, at most a minute."""

    def __init__(self) -> None:
        self._wait_ms = 0
        self._not_before_ms = 0

    def open(self, now_ms: int) -> bool:
        """Whether it may be tried now."""
        return now_ms >= self._not_before_ms

    def failed(self, now_ms: int) -> None:
        """It was tried in vain."""
        self._wait_ms = min(BACKOFF_MS_MAX, 2 * self._wait_ms or BACKOFF_MS)
        self._not_before_ms = now_ms + self._wait_ms

    def succeeded(self) -> None:
        """It went through."""
        self._wait_ms = self._not_before_ms = 0


class Levels:
    """For a receiver that wants to be told what fires, and to be told again (Alertmanager): the newest of each alert.

    An alert that fires is due again every `repeat_ms`; one that is resolved once more, until that went through.
    """

    def __init__(self, repeat_ms: int) -> None:
        self._repeat_ms = repeat_ms
        self._alerts: dict[str, AlertRecord] = {}
        self._due_ms: dict[str, int] = {}
        self.began_ms: dict[str, int] = {}
        self.backoff = Backoff()
        self.dropped = 0

    def told(self, alert: AlertRecord, now_ms: int) -> None:
        """An alert as it is from now on."""
        if alert.firing:
            self.began_ms[alert.key] = alert.since_ms
        self._alerts[alert.key] = alert
        self._due_ms[alert.key] = now_ms
        while len(self._alerts) > WAITING_MAX:
            self._forget(next(iter(self._alerts)))
            self.dropped += 1

    def due(self, now_ms: int) -> list[AlertRecord]:
        """What to post now, all in one."""
        if not self.backoff.open(now_ms):
            return []
        return [alert for key, alert in self._alerts.items() if self._due_ms[key] <= now_ms]

    def sent(self, alerts: Iterable[AlertRecord], now_ms: int) -> None:
        """These went through."""
        self.backoff.succeeded()
        for alert in alerts:
            if self._alerts.get(alert.key) != alert:
                continue
            if alert.firing:
                self._due_ms[alert.key] = now_ms + self._repeat_ms
            else:
                self._forget(alert.key)

    def _forget(self, key: str) -> None:
        del self._alerts[key], self._due_ms[key]
        self.began_ms.pop(key, None)


class Changes:
    """For a receiver that wants each change once and in order (the alerts topic, a webhook)."""

    def __init__(self) -> None:
        self.waiting: deque[AlertRecord] = deque()
        self.backoff = Backoff()
        self.dropped = 0

    def told(self, alert: AlertRecord) -> None:
        """A change; one that waits already is not queued again."""
        if alert in self.waiting:
            return
        if len(self.waiting) == WAITING_MAX:
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(alert)

    def due(self, now_ms: int) -> AlertRecord | None:
        """The next to send."""
        return self.waiting[0] if self.waiting and self.backoff.open(now_ms) else None

    def sent(self, alert: AlertRecord) -> None:
        """It went through, or is of no use to its receiver."""
        self.backoff.succeeded()
        if alert in self.waiting:
            self.waiting.remove(alert)
