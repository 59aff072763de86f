"""The live page in a browser, over a board that tells what the test tells it."""

import gc
import json
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from tests.page.conftest import Opened
from tests.page_records import Teller, record_of
from tests.page_server import Served, offer, served

pytestmark = pytest.mark.slow
Open = Callable[..., Opened]
MESSAGES = 900
RECORDS_A_MESSAGE = 6
"""Together an hour and a half, one record a second."""
FEATURES = {f"feature_{number}": number / 7 for number in range(100)}
HEAP_GROWTH_BYTES_MAX = 1 << 20
"""Less than all points or all decisions would take, more than the engine's own ups and downs."""
PROCESS_GROWTH_BYTES_MAX = 8 << 20
REACHED = "number => document.body.dataset.number == number"


@pytest.fixture
def page() -> Iterator[Served]:
    with served(every_s=0.004) as found:
        found.teller = Teller(found.teller.board, began_ms=int(time.time() * 1000) - 900_000)
        yield found


def decision(number: int, outcome: str = "scored", **more: Any) -> bytes:
    return json.dumps(
        {
            "id": str(number), "outcome": outcome, "decision": "approve", "score": 0.25, "tier": "primary",
            "model": "fraud-gbt", "version": "1", "provider": "CPUExecutionProvider", "event_time": 1_700_000_000_000,
            "deadline_met": True, "latency_us": {"queue": 100, "features": 9, "score": 50, "total": 180},
            "age_us": 4000, "source": ["transactions", 1, number], **more,
        }
    ).encode()  # fmt: skip


def test_what_it_shows_is_what_the_state_says(page: Served, opened: Open) -> None:
    page.teller.tell(400)
    shown = opened(page.server.url)
    shown.wait(REACHED, 400)
    state = page.state()
    totals, recent = state["summary"]["totals"], state["summary"]["recent"]
    assert shown.text("#n-rate") == f"{recent['rate_s']:,.0f}"
    assert shown.text("#n-rate-more") == f"{sum(totals['outcomes']):,} since the start"
    assert shown.text("#n-lag") == f"{sum(state['summary']['lag'].values()):,}"
    assert float(shown.text("#n-age")) == pytest.approx(recent["quantiles_us"]["age"][1] / 1000, rel=0.01)
    answered = sum(recent["in_time"]) + sum(recent["overdue"]) + recent["outcomes"][2]
    assert float(shown.text("#n-missed")) == pytest.approx(100 * recent["misses"] / answered, rel=0.05)
    last_5_minutes = state["points"][-300:]
    for outcome, at in (("degraded", 1), ("expired", 2), ("dead letters", 3)):
        line = shown.page.locator("#given li", has_text=outcome).first.inner_text()
        assert line.split()[0] == f"{sum(point['outcomes'][at] for point in last_5_minutes):,}"
    assert shown.complaints == []


def test_what_it_costs_is_told_by_tier_and_tenant(opened: Open) -> None:
    with served("cost.cpu_hour=0.04", every_s=0.004) as page:
        page.teller = Teller(page.teller.board, began_ms=int(time.time() * 1000) - 60_000)
        page.teller.tell(50)
        shown = opened(page.server.url, 390, 844)
        shown.wait(REACHED, 50)
        bill = page.state()["summary"]["bill"]
        assert "EUR a million decisions" in shown.text("#cost-now")
        tenants = shown.page.locator("#cost-tenants tbody tr th").all_inner_texts()
        assert tenants == [line["name"] for line in bill["tenants"]]
        assert shown.text(
            "#cost-tiers tbody tr:first-child td:nth-child(2)"
        ) == f"{bill['tiers'][0]['share']:.1%}".replace("%", " %")
        assert "65.0 % of 2 EUR" in shown.text("#cost-budgets")
        assert shown.page.evaluate("document.documentElement.scrollWidth") == 390
        assert "tenant" not in shown.page.locator("#counts").inner_text()
        assert shown.complaints == []


def test_news_reach_an_open_page(page: Served, opened: Open) -> None:
    page.teller.tell(5)
    shown = opened(page.server.url)
    shown.wait(REACHED, 5)
    assert shown.text("#status-text") == "live"
    page.teller.tell(20)
    shown.wait(REACHED, 25)
    assert shown.text("#n-rate-more") == f"{sum(page.state()['summary']['totals']['outcomes']):,} since the start"


def test_a_process_that_has_told_nothing_says_so(page: Served, opened: Open) -> None:
    shown = opened(page.server.url)
    shown.wait("() => document.getElementById('status-text').textContent.startsWith('starting for')")
    assert "models are warmed" in shown.text("#banner")
    assert shown.complaints == []


def test_a_loop_that_stands_still_is_told_from_a_process_that_is_gone(page: Served, opened: Open) -> None:
    page.teller.tell(5)
    shown = opened(page.server.url)
    shown.wait("() => document.getElementById('status-text').textContent.startsWith('loop silent for')")
    shown.wait("() => document.body.dataset.state === 'stale'")
    page.teller.tell()
    shown.wait("() => document.getElementById('status-text').textContent === 'live'")
    page.server.close()
    shown.wait("() => document.getElementById('status-text').textContent.startsWith('ended ')")
    assert "fraud ended in order" in shown.text("#banner")


def test_it_can_be_used_with_keys_alone(page: Served, opened: Open) -> None:
    page.teller.tell(50)
    shown = opened(page.server.url)
    shown.wait(REACHED, 50)
    keys = shown.page.keyboard
    newest = shown.text("#l-outcomes li:first-child b")
    shown.page.locator("#p-outcomes canvas").focus()
    for _ in range(3):
        keys.press("ArrowLeft")
    third = f"{page.state()['points'][-4]['outcomes'][0]:,}"
    assert third != newest
    shown.wait("wanted => document.querySelector('#l-outcomes b').textContent === wanted", third)
    keys.press("Escape")
    shown.wait("before => document.querySelector('#l-outcomes b').textContent === before", newest)
    shown.page.locator("#which button", has_text="in process").focus()
    keys.press("Enter")
    assert shown.text("#which-note").startswith("In process")
    background = "getComputedStyle(document.body).backgroundColor"
    light = shown.page.evaluate(background)
    shown.page.locator("#theme").focus()
    keys.press("Enter")
    keys.press("Enter")
    assert shown.text("#theme") == "dark"
    assert shown.page.evaluate(background) != light
    shown.page.reload()
    shown.wait(REACHED, 50)
    assert shown.text("#theme") == "dark"
    assert shown.complaints == []


def test_decisions_stand_still_while_one_is_read(page: Served, opened: Open) -> None:
    page.teller.tell(2)
    offer(page.latest, [decision(1), decision(2, "expired", score=None, deadline_met=False)], b"customer-7")
    shown = opened(page.server.url)
    rows = shown.page.locator("#decision-rows tr[data-number]")
    shown.wait("() => document.querySelectorAll('#decision-rows tr[data-number]').length === 2")
    assert "no tier could be in time" in rows.nth(0).inner_text()
    shown.page.locator("#filter button", has_text="scored").click()
    assert rows.count() == 1
    rows.nth(0).locator("button").press("Enter")
    assert "customer-7" in shown.text("#decision-rows .detail")
    offer(page.latest, [decision(3)], b"", now_ms=2_000_000)
    page.teller.tell()
    shown.wait(REACHED, 3)
    assert rows.count() == 1
    shown.page.locator("#hold").click()
    shown.wait("() => document.querySelectorAll('#decision-rows tr[data-number]').length === 2")
    assert shown.complaints == []


def test_what_an_event_says_is_text_and_never_markup(page: Served, opened: Open) -> None:
    page.teller.tell(2)
    bad = "<img src=x onerror=alert(1)>"
    offer(page.latest, [decision(1, tier=bad, decision=bad, reasons=[[bad, 1]], id=bad)], bad.encode())
    shown = opened(page.server.url)
    shown.wait("() => document.querySelectorAll('#decision-rows tr[data-number]').length === 1")
    shown.page.locator("#decision-rows tr").first.click()
    assert shown.page.locator("#decisions img").count() == 0
    assert bad in shown.text("#decision-rows")
    assert shown.complaints == []


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_an_hour_and_more_grows_neither_the_browser_nor_the_process(page: Served, opened: Open) -> None:
    shown = opened(page.server.url)
    devtools = shown.page.context.new_cdp_session(shown.page)
    began_ms, told = int(time.time() * 1000), count()

    def tell(messages: int) -> None:
        number = 0
        for _ in range(messages):
            for number in islice(told, RECORDS_A_MESSAGE):
                record = record_of(number, began_ms)
                page.teller.board.tell(record, record)
            offer(page.latest, [decision(number, features=FEATURES)], b"k", now_ms=10**6 + number * 100)
            time.sleep(0.005)
        shown.wait(REACHED, number + 1)

    def used() -> tuple[int, int, int]:
        for _ in range(3):
            devtools.send("HeapProfiler.collectGarbage")
        nodes = shown.page.evaluate("document.getElementsByTagName('*').length")
        return devtools.send("Runtime.getHeapUsage")["usedSize"], nodes, resident_bytes()

    tell(300)
    heap, nodes, resident = used()
    tell(MESSAGES)
    heap_after, nodes_after, resident_after = used()
    assert heap_after - heap < HEAP_GROWTH_BYTES_MAX
    assert nodes_after == nodes
    assert resident_after - resident < PROCESS_GROWTH_BYTES_MAX
    assert shown.complaints == []
