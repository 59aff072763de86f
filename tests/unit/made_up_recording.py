"""Events, decisions and rounds made up for tests of an evaluation."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.config.load import load
from pipeline.evaluation.recording import Recording
from pipeline.evaluation.replayed import Decided
from pipeline.evaluation.report import Figure
from pipeline.evaluation.rounds import Round
from pipeline.evaluation.side import Side
from pipeline.evaluation.speed import Played
from pipeline.telemetry.histogram import Histogram
from pipeline.wire.metrics import MetricsRecord

LABELS = ("approve", "review", "decline")
THRESHOLDS = np.array([0.3, 0.8])
ROWS, CUSTOMERS = 4000, 250
DAY_MS = 86_400_000


def quiet(text: str) -> None:
    del text


def side(letter: str, *assignments: str) -> Side:
    return Side(letter, "fraud", assignments, load("fraud", environ={}, assignments=assignments))


def recording(rows: int = ROWS, *, labelled: bool = True) -> Recording:
    random = np.random.default_rng(3)
    times = np.sort(random.integers(0, 5 * DAY_MS, rows))
    customer = random.integers(0, CUSTOMERS, rows)
    events = pa.table(
        {
            "transaction_id": np.arange(rows),
            "event_time": pa.array(times).cast(pa.timestamp("ms", "UTC")),
            "customer_id": customer,
            "terminal_id": customer + 7,
            "amount": random.integers(1, 9999, rows) / 100,
        }
    )
    labels = pa.table(
        {
            "transaction_id": np.arange(0, rows, 50),
            "event_time": pa.array(times[::50]).cast(pa.timestamp("ms", "UTC")),
            "terminal_id": customer[::50] + 7,
            "customer_id": customer[::50],
            "fraud": np.ones(len(times[::50]), np.bool_),
            "reported_at": pa.array(times[::50] + 1).cast(pa.timestamp("ms", "UTC")),
        }
    )
    return Recording(
        spec=load("fraud", environ={}).config.inputs["transactions"],
        events=events,
        state={"labels": labels},
        first=0,
        ids=pa.array(np.arange(rows)).cast(pa.string()),
        time_ms=times,
        cluster=customer.astype(np.int32),
        clusters=CUSTOMERS,
        positive=random.random(rows) < 0.06 if labelled else None,
        labels="made-up" if labelled else "",
        sorted_here=False,
    )


def decided(of: Recording, noise: float, seed: int = 1) -> Decided:
    """Scores that know the truth but for some noise."""
    random = np.random.default_rng(seed)
    truth = np.zeros(of.rows) if of.positive is None else of.positive.astype(float)
    score = np.clip(0.45 * truth + random.random(of.rows) * 0.5 + random.normal(0, noise, of.rows), 0, 1)
    decision = np.searchsorted(THRESHOLDS, score, side="right").astype(np.int8)
    return Decided(score, decision, {"primary m/1": of.rows}, (0.02, 0.03, 0.025), of.rows)


def by_name(figures: Sequence[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def played(latencies_us: Sequence[Sequence[int]], cpu_s: float = 0.1, good: int | None = None) -> Played:
    rounds = []
    for values in latencies_us:
        histogram = Histogram()
        histogram.record(np.array(values, np.int64))
        record = MetricsRecord(
            pipeline="fraud",
            instance="one",
            from_ms=0,
            to_ms=1,
            outcomes={"scored": len(values)},
            tiers={"primary": len(values)},
            in_time={"primary": len(values) if good is None else good},
            histograms={"age": histogram.sparse(), "total": histogram.sparse()},
        )
        rounds.append(Round(len(values), cpu_s * (1 + 0.01 * len(rounds)), record, 0.0))
    return Played(rounds, "primary")
