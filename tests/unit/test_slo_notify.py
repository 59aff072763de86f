"""Receivers of alerts: what is sent when, in virtual time; what a real server gets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pipeline.slo.load import load_slo
from pipeline.slo.notify import Notifier, alertmanager_form
from pipeline.slo.outbox import BACKOFF_MS_MAX, WAITING_MAX, Backoff, Changes, Levels
from pipeline.wire.alert import AlertRecord

FIRING = AlertRecord(
    slo="fraud-latency",
    severity="page",
    state="firing",
    long_burn=20.0,
    short_burn=30.0,
    budget_left=0.25,
    since_ms=1000,
    summary="it burns",
    kind="burn",
    pipeline="fraud",
)
RESOLVED = msgspec.structs.replace(FIRING, state="resolved", since_ms=9000)


def test_waits_double_up_to_a_minute_and_end_with_success() -> None:
    backoff, now_ms, waits = Backoff(), 0, []
    for _ in range(9):
        assert backoff.open(now_ms)
        backoff.failed(now_ms)
        wait_ms = next(wait for wait in range(0, BACKOFF_MS_MAX + 1, 500) if backoff.open(now_ms + wait))
        waits.append(wait_ms)
        now_ms += wait_ms
    assert waits == [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]
    backoff.succeeded()
    assert backoff.open(now_ms)


def test_what_fires_is_told_again_and_what_ended_once() -> None:
    levels = Levels(repeat_ms=60_000)
    levels.told(FIRING, 0)
    assert levels.due(0) == [FIRING]
    levels.sent([FIRING], 0)
    assert levels.due(59_999) == []
    assert levels.due(60_000) == [FIRING]
    levels.told(RESOLVED, 61_000)
    assert levels.due(61_000) == [RESOLVED]
    levels.backoff.failed(61_000)
    assert levels.due(61_500) == []
    assert levels.due(62_000) == [RESOLVED]
    levels.sent([RESOLVED], 62_000)
    assert levels.due(10_000_000) == []


def test_an_alert_that_changes_while_it_is_posted_is_due_again() -> None:
    levels = Levels(60_000)
    levels.told(FIRING, 0)
    posted = levels.due(0)
    levels.told(RESOLVED, 1)
    levels.sent(posted, 2)
    assert levels.due(2) == [RESOLVED]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_a_webhook_gets_each_change_once_and_in_order(told: list[tuple[str, bool]]) -> None:
    changes, sent, wanted = Changes(), [], []
    for number, (name, firing) in enumerate(told):
        alert = msgspec.structs.replace(FIRING, slo=name, since_ms=number, state="firing" if firing else "resolved")
        wanted.append(alert)
        changes.told(alert)
        changes.told(alert)
    while (alert := changes.due(0)) is not None:
        sent.append(alert)
        changes.sent(alert)
    assert sent == wanted


def test_a_receiver_that_never_answers_costs_bounded_memory() -> None:
    changes, levels = Changes(), Levels(60_000)
    for number in range(WAITING_MAX + 5):
        alert = msgspec.structs.replace(FIRING, slo=str(number))
        changes.told(alert)
        levels.told(alert, 0)
    assert (len(changes.waiting), changes.dropped) == (WAITING_MAX, 5)
    assert (len(levels.due(0)), levels.dropped) == (WAITING_MAX, 5)


def test_the_form_that_alertmanager_takes() -> None:
    form = alertmanager_form(FIRING, 1000, 5000)
    assert form["labels"] == {
        "alertname": "HeadraceBudgetBurn",
        "severity": "page",
        "slo": "fraud-latency",
        "pipeline": "fraud",
        "evaluator": "slo",
    }
    assert form["startsAt"] == "1970-01-01T00:00:01.000Z"
    assert form["endsAt"] == "1970-01-01T00:00:05.000Z"
    assert form["annotations"]["budget_left"] == "0.25"
    stuck = msgspec.structs.replace(FIRING, kind="stuck", subject="transactions/3", long_burn=None)
    labels = alertmanager_form(stuck, 0, 0)["labels"]
    assert (labels["alertname"], labels["partition"]) == ("HeadracePartitionStuck", "transactions/3")


class Server:
    """Answers as it is told; keeps what it was sent."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[Any] = []

    async def answer(self, request: web.Request) -> web.Response:
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.got.append(await request.json())
        return web.Response(status=status)


async def posting(server: Server, during: Callable[[Notifier], Awaitable[None]], receiver: str) -> Notifier:
    application = web.Application()
    application.add_routes([web.post("/{path:.*}", server.answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    notifier = Notifier(load_slo("slo", environ={}, assignments=[f"{receiver}.url={url}"]))
    running = asyncio.create_task(notifier.run())
    try:
        await asyncio.wait_for(during(notifier), 20)
    finally:
        running.cancel()
        await runner.cleanup()
    return notifier


def test_alertmanager_gets_an_alert_after_it_failed() -> None:
    server = Server(503)

    async def during(notifier: Notifier) -> None:
        notifier.told(FIRING)
        while not server.got:
            await asyncio.sleep(0.02)

    notifier = asyncio.run(posting(server, during, "alertmanager"))
    ((posted,),) = server.got
    assert posted["labels"]["slo"] == "fraud-latency"
    assert notifier.failures == {"alertmanager": 1, "webhook": 0}


def test_what_a_webhook_refuses_is_given_up_and_the_next_one_sent() -> None:
    server = Server(400)

    async def during(notifier: Notifier) -> None:
        notifier.told(FIRING)
        notifier.told(RESOLVED)
        while not server.got:
            await asyncio.sleep(0.02)

    notifier = asyncio.run(posting(server, during, "webhook"))
    assert [got["state"] for got in server.got] == ["resolved"]
    assert (notifier.failures["webhook"], notifier.changes.dropped) == (1, 1)


def test_a_receiver_that_is_not_there_is_counted() -> None:
    async def run() -> Notifier:
        notifier = Notifier(load_slo("slo", environ={}, assignments=["webhook.url=http://127.0.0.1:1/"]))
        running = asyncio.create_task(notifier.run())
        notifier.told(FIRING)
        while not notifier.failures["webhook"]:
            await asyncio.sleep(0.02)
        running.cancel()
        return notifier

    notifier = asyncio.run(asyncio.wait_for(run(), 20))
    assert list(notifier.changes.waiting) == [FIRING]


@pytest.mark.parametrize("receiver", ["alertmanager", "webhook"])
def test_nothing_is_kept_for_a_receiver_that_is_not_configured(receiver: str) -> None:
    notifier = Notifier(load_slo("slo", environ={}))
    notifier.told(FIRING)
    assert not notifier.levels.due(0)
    assert not notifier.changes.waiting
