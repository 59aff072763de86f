"""What a window costs: ns an event for each kind of window and number of keys, and the bytes a key takes."""

import argparse
import os
import time
from typing import Any

import numpy as np

from bench._machine import RESULTS, save
from features.catalog import Catalog
from features.columns import Columns
from features.schema import NUMBER
from features.state import FeatureSet
from pipeline.config.load import load

ROWS = 1024
MS_PER_DAY = 86_400_000
KEYS = (1_000, 10_000, 100_000)
EVENTS = 400_000
EVENTS_A_KEY = 58  # a customer's in the 30 days that the fraud set looks back


def fields() -> dict[str, Any]:
    return {
        "id": {"type": "id"},
        "t": {"type": "time"},
        "k": {"type": "id"},
        "x": {"type": "decimal", "decimals": 2},
        "f": {"type": "float"},
    }


def catalog_of(features: dict[str, Any], keys: int, panes: int | None = None) -> Catalog:
    spec = {"topic": "e", "role": "decide", "id": "id", "key": "k", "event_time": "t", "fields": fields()}
    entity = {"key": "k", "lateness": "1h", "keys_expected": keys, "panes": panes}
    return Catalog.model_validate({"inputs": {"e": spec}, "entities": {"k": entity}, "features": features})


def window(aggregate: str, field: str | None = None, **more: Any) -> dict[str, Any]:
    named = {} if field is None else {"field": field}
    return {"w": {"entity": "k", "aggregate": aggregate, "span": "30d", **named, **more}}


KINDS = {
    "count": window("count"),
    "sum, exact": window("sum", "x"),
    "mean, exact": window("mean", "x"),
    "mean, float": window("mean", "f"),
    "min": window("min", "x"),
    "std": window("std", "x"),
    "ewma": window("ewma", "x", half_life="7d"),
    "time since last": window("time_since_last"),
    "count, delayed": window("count", delay="7d"),
    "mean, 30 panes": window("mean", "x"),
    "min, 30 panes": window("min", "x"),
}
PANES = {kind: 30 for kind in KINDS if kind.endswith("30 panes")}


def events_of(catalog: Catalog, keys: int, events: int) -> Columns:
    """Keys at random, each with 58 events in 30 days on average."""
    random = np.random.default_rng(0)
    columns = Columns(catalog.decided.schema_, events)
    columns.length[:] = NUMBER
    gap_ms = 30 * MS_PER_DAY / EVENTS_A_KEY / keys
    columns.value[1] = 1_600_000_000_000 + (np.arange(events) * gap_ms).astype(np.int64)
    columns.value[2] = random.integers(0, keys, events)
    columns.value[3] = random.integers(100, 30_000, events)
    columns.floats[4] = random.uniform(1, 300, events)
    return columns


def ns_an_event(catalog: Catalog, columns: Columns, events: int) -> float:
    """Of the second half: the first fills the windows and touches the memory."""
    state = FeatureSet(catalog).new_state(8 << 30)
    out = np.zeros((events, len(catalog.features)))
    rows = np.arange(events, dtype=np.int32)
    partition, offset = np.zeros(events, np.int32), rows.astype(np.int64)
    out[:] = 1.0
    started = 0
    for first in range(0, events, ROWS):
        if first * 2 >= events and not started:
            started, counted = time.perf_counter_ns(), events - first
        part = slice(first, first + ROWS)
        state.apply("e", columns, rows[part], partition[part], offset[part], out64=out)
    return (time.perf_counter_ns() - started) / counted


def bytes_a_key(keys: int, *assignments: str) -> dict[str, float]:
    """The default fraud set with so many customers of 58 events each, fed in rounds; by its own account and RSS."""
    import psutil

    catalog = load("fraud", environ=os.environ, assignments=assignments).config.catalog
    schema = catalog.decided.schema_
    before = psutil.Process().memory_info().rss
    state = FeatureSet(catalog).new_state(16 << 30)
    columns = Columns(schema, ROWS * 64)
    columns.length[:] = NUMBER
    rows = np.arange(ROWS * 64, dtype=np.int32)
    partition, offset = np.zeros(len(rows), np.int32), rows.astype(np.int64)
    random = np.random.default_rng(0)
    started = time.perf_counter()
    for day in range(EVENTS_A_KEY):
        for first in range(0, keys, len(rows)):
            count = min(len(rows), keys - first)
            columns.value[1, :count] = 1_600_000_000_000 + day * (MS_PER_DAY // 2)
            columns.value[2, :count] = np.arange(first, first + count)
            columns.value[3, :count] = random.integers(0, 10_000, count)
            columns.value[4, :count] = 1234
            state.apply("transactions", columns, rows[:count], partition[:count], offset[:count])
        print(f"round {day + 1} of {EVENTS_A_KEY}, {time.perf_counter() - started:.0f} s", end="\r", flush=True)
    rss = psutil.Process().memory_info().rss - before
    used = state.used_bytes()
    return {"customers": keys, "customer_bytes_a_key": used["customer"] / keys, "rss_bytes_a_customer": rss / keys}


def plot(measured: dict[str, dict[str, float]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.2))
    width = 0.8 / len(KEYS)
    for place, keys in enumerate(KEYS):
        heights = [measured[kind][str(keys)] for kind in KINDS]
        axis.bar(np.arange(len(KINDS)) + place * width, heights, width, label=f"{keys:,} keys")
    axis.set_xticks(np.arange(len(KINDS)) + width, KINDS, rotation=30, ha="right")
    axis.set_ylabel("ns an event, one window of 30 days")
    axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "kernels.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    arguments = parser.parse_args()
    measured: dict[str, dict[str, float]] = {}
    for kind, features in KINDS.items():
        measured[kind] = {}
        for keys in KEYS:
            catalog = catalog_of(features, keys, PANES.get(kind))
            measured[kind][str(keys)] = ns_an_event(catalog, events_of(catalog, keys, EVENTS), EVENTS)
        print(f"{kind:16}", {keys: round(ns) for keys, ns in measured[kind].items()}, flush=True)
    memory = bytes_a_key(arguments.customers)
    paned = bytes_a_key(arguments.customers, "entities.customer.panes=30")
    memory["customer_bytes_a_key_30_panes"] = paned["customer_bytes_a_key"]
    print("\n", memory)
    save("kernels", {"ns_an_event": measured, "memory": memory})
    plot(measured)


if __name__ == "__main__":
    main()
