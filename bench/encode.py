"""ns an event of writing decisions: JSON, partition and message, for the batch sizes that occur."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.rows import Outcome, Rows
from pipeline.servings import Servings, TierLabel
from pipeline.wire.decision import DecisionEncoder

ROWS = 4096
FEATURES = 15
BATCHES = (1, 8, 64, 1024)
EVENTS_A_RUN = 200_000
RUNS = 5
RESULT = Path(__file__).parent / "results" / "encode.json"


def fraud_rows(*, traced: bool = False) -> tuple[Rows, Any]:
    """Rows like the fraud pipeline's, and the owner of their keys."""
    rows, draw = Rows(ROWS, FEATURES, traced=traced), np.random.default_rng(1)
    keys = [b"%d" % customer for customer in draw.integers(0, 5000, ROWS)]
    owner = np.frombuffer(b"".join(keys), np.uint8)
    rows.key_length[:] = [len(key) for key in keys]
    rows.key_address[:] = owner.ctypes.data + np.cumsum([0, *rows.key_length[:-1].tolist()])
    rows.id_value[:], rows.id_length[:] = np.arange(ROWS) + 1_000_000, -1
    rows.serving[:] = 1
    rows.outcome[:], rows.decision[:] = Outcome.SCORED, draw.integers(0, 3, ROWS)
    rows.score[:] = draw.random(ROWS)
    rows.event_time_ms[:] = 1_522_540_831_000 + np.arange(ROWS)
    rows.timestamp_ms[:] = 1_700_000_000_000
    rows.arrival_ns[:], rows.dispatch_ns[:] = 10**12, 10**12 + 1_400_000
    rows.features_ns[:], rows.score_ns[:] = 220_000, 80_000
    rows.deadline_ns[:] = 10**12 + 100_000_000
    rows.offset[:] = 8_000_000 + np.arange(ROWS)
    rows.features64[:] = np.round(draw.random((ROWS, FEATURES)) * 300, 2)
    return rows, owner


def encode_ns(rows: Rows, features: Sequence[str] | None, batch: int, events: int) -> tuple[float, int]:
    """The fastest of the runs in ns an event, and the bytes of one decision."""
    encoder = DecisionEncoder(
        pipeline="fraud",
        topic="transactions",
        servings=Servings.of_ladder([(TierLabel("primary", "fraud-gbt", "1", "CPUExecutionProvider"), ())]),
        decisions=["approve", "review", "decline"],
        features=features,
    )
    slots = np.arange(batch, dtype=np.int32)
    now = {"now_ns": 10**12 + 2_000_000, "now_ms": 1_700_000_000_007, "delivery_ns": 3_000_000}
    size = int(encoder.encode(rows, slots, partitions=4, **now)["len"][0])
    fastest = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter_ns()
        for _ in range(events // batch):
            encoder.encode(rows, slots, partitions=4, **now)
        fastest = min(fastest, (time.perf_counter_ns() - started) / (events // batch * batch))
    return fastest, size


def main() -> None:
    rows, owner = fraud_rows()
    names = [f"feature_{index}" for index in range(FEATURES)]
    results = []
    for features, events in ((None, EVENTS_A_RUN), (names, EVENTS_A_RUN // 10)):
        for batch in BATCHES:
            ns, size = encode_ns(rows, features, batch, events if batch > 1 else events // 10)
            results.append({"batch": batch, "features": bool(features), "ns": round(ns, 1), "bytes": size})
            print(f"batch {batch:>5}  {'with' if features else 'without':<8}features {ns:>8.0f} ns  {size} bytes")
    RESULT.write_text(json.dumps({"unit": "ns an event", "results": results}, indent=1) + "\n")
    del owner


if __name__ == "__main__":
    main()
