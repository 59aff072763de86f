"""Simulated traffic: the same for the same seed, in time order, labels a week later."""

import json
from collections.abc import Callable
from itertools import islice

import numpy as np

from pipeline.kafka.librdkafka import ffi
from pipeline.sim.driver import Load, drive
from pipeline.sim.encode import label_encoder, transaction_encoder
from pipeline.sim.traffic import traffic
from pipeline.sim.transactions import REPORT_DELAY_MS, Population, TransactionSource
from tests.traffic import read

SMALL = Population(customers=50, terminals=30, terminals_near=5, seed=3)
START_MS = 1_577_836_800_000


def source(population: Population = SMALL) -> TransactionSource:
    return TransactionSource(population, START_MS)


def test_a_seed_is_a_stream_and_another_is_another() -> None:
    first, again = (list(islice(source().days(), 3)) for _ in range(2))
    other = list(islice(source(Population(customers=50, terminals=30, terminals_near=5, seed=4)).days(), 3))
    for left, right in zip(first, again, strict=True):
        for name in ("transaction_id", "event_time_ms", "customer_id", "terminal_id", "amount_cents", "scenario"):
            assert np.array_equal(getattr(left, name), getattr(right, name))
    assert any(
        not np.array_equal(a.amount_cents[:20], b.amount_cents[:20]) for a, b in zip(first, other, strict=True)
    )


def test_time_order_ids_and_every_planted_fraud() -> None:
    days = list(islice(source().days(), 40))
    times = np.concatenate([day.event_time_ms for day in days])
    assert (np.diff(times) >= 0).all()
    assert np.array_equal(np.concatenate([day.transaction_id for day in days]), np.arange(len(times)))
    assert set(np.unique(np.concatenate([day.scenario for day in days])).tolist()) == {0, 1, 2, 3}


def test_labels_come_a_week_after_and_never_before() -> None:
    frauds = {}
    for day in islice(source().days(), 12):
        frauds.update(zip(day.transaction_id[day.fraud].tolist(), day.event_time_ms[day.fraud].tolist(), strict=True))
    seen: set[int] = set()
    for part in traffic(source(), rows_max=50):
        now_ms = int(part.transactions[-1, 1])
        assert (part.labels[:, 4] <= now_ms).all()
        assert (part.labels[:, 4] - part.labels[:, 1] == REPORT_DELAY_MS).all()
        seen.update(part.labels[:, 0].tolist())
        if now_ms > START_MS + 11 * 86_400_000:
            break
    due = {number for number, at in frauds.items() if at + REPORT_DELAY_MS <= now_ms}
    assert seen == due != set()


def test_events_are_what_the_schema_says() -> None:
    part = next(traffic(source(), rows_max=20))
    encoder, labeller = transaction_encoder(), label_encoder()
    messages = encoder.encode(list(part.transactions.T), 4)
    for message, row in zip(messages, part.transactions.tolist(), strict=True):
        value = json.loads(bytes(ffi.buffer(ffi.cast("char *", int(message["payload"])), int(message["len"]))))
        names = ("transaction_id", "event_time", "customer_id", "terminal_id")
        assert [value[name] for name in names] == row[:4]
        assert round(value["amount"] * 100) == row[4]
    labels = labeller.encode([np.array([1]), np.array([2]), np.array([3]), np.array([4]), np.array([5])], 2)
    text = bytes(ffi.buffer(ffi.cast("char *", int(labels["payload"][0])), int(labels["len"][0])))
    fraud = {
        "transaction_id": 1,
        "event_time": 2,
        "terminal_id": 3,
        "customer_id": 4,
        "fraud": True,
        "reported_at": 5,
    }
    assert json.loads(text) == fraud


def test_the_driver_sends_all_it_was_asked_for(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded({"transactions": 2, "labels": 1})
    load = Load(transactions=1500, rate=0, population=SMALL)
    sent = drive({"bootstrap.servers": bootstrap}, load, start_ms=START_MS)
    assert sent.transactions == 1500
    found = [json.loads(message.value())["transaction_id"] for message in read(bootstrap, "transactions", 1500)]
    assert sorted(found) == list(range(1500))
    assert len(read(bootstrap, "labels", sent.labels)) == sent.labels > 0
