"""Answers given again: what a cache of feature rows spares by how often rows repeat, and costs where none does.

CPU time of the thread, the model with and without the cache in turns. Also what the bill itself costs a row.
"""

import time
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench._machine import RESULTS, save
from features.columns import Columns
from features.schema import NUMBER, EventField, Schema
from models.repository import Repository
from models.session import CPU, ModelSession
from pipeline.bill.ledger import Ledger
from pipeline.bill.tenants import Tenants
from pipeline.config.load import load
from pipeline.row_cache import RowCache
from pipeline.row_layout import features_of
from pipeline.row_reuse import CachedRows
from pipeline.rows import Rows
from pipeline.runner import _FeatureRows

BATCH, LARGE, ROWS = 64, 512, 65_536
DISTINCT = 200_000
CACHE_ROWS = 65_536
EXPONENTS = (None, 0.6, 0.8, 1.0, 1.2, 1.5)
"""Of Zipf's law over DISTINCT rows; None: no row comes twice."""
SIZES = (1_024, 65_536, 1_000_000)
ROUNDS = 5
AGE_NS = 1 << 62


def stream(exponent: float | None, draw: np.random.Generator) -> NDArray[np.int64]:
    """Which of the distinct rows comes when."""
    if exponent is None:
        return draw.permutation(DISTINCT)[:ROWS]
    weights = 1.0 / np.arange(1, DISTINCT + 1) ** exponent
    found: NDArray[np.int64] = draw.choice(DISTINCT, ROWS, p=weights / weights.sum())
    return found


def cpu_ns_a_row(way: Any, rows: Rows, table: NDArray[np.float32], order: NDArray[np.int64]) -> tuple[float, float]:
    """Over the whole stream, in batches of all the rows; and the share of them that were spared."""
    batch = rows.capacity_rows
    slots, took_ns, asked = np.arange(batch, dtype=np.int32), 0, 0
    for first in range(0, len(order), batch):
        rows.features32[:] = table[order[first : first + batch]]
        began_ns = time.thread_time_ns()
        asked += way.score(slots).cost_rows
        took_ns += time.thread_time_ns() - began_ns
    return took_ns / len(order), 1 - asked / len(order)


def by_repetition(session: ModelSession, table: NDArray[np.float32], batch: int) -> list[dict[str, Any]]:
    found = []
    for exponent in EXPONENTS:
        rows, draw = Rows(batch, table.shape[1]), np.random.default_rng(3)
        plain = _FeatureRows(rows, session, batch)
        cache = RowCache(table.shape[1], CACHE_ROWS, AGE_NS)
        cached = CachedRows(rows, session, batch, cache, time.monotonic_ns)
        if exponent is not None:
            cpu_ns_a_row(cached, rows, table, stream(exponent, draw))  # warm, as it is after a while
        trials = []
        for number in range(ROUNDS):
            order = stream(exponent, draw)
            if exponent is None:
                order = np.arange(number * ROWS, (number + 1) * ROWS) % len(table)
            trials.append((cpu_ns_a_row(plain, rows, table, order)[0], *cpu_ns_a_row(cached, rows, table, order)))
        without, with_it, spared = (float(np.median(column)) for column in zip(*trials, strict=True))
        found.append(
            {"batch": batch, "exponent": exponent, "spared": spared, "without_ns": without, "with_ns": with_it}
        )
        name = "none twice" if exponent is None else f"Zipf {exponent:g}"
        costs = f"{without:7.0f} ns a row, {with_it:7.0f} with: {with_it / without:.2f}"
        print(f"{batch:>4} rows, {name:<11} {spared:7.1%} spared  {costs}")
    return found


def of_nothing_repeating(features: int) -> list[dict[str, Any]]:
    """ns a row of the look-up and of the keeping, in a full cache, no row known."""
    found = []
    for size in SIZES:
        cache, draw = RowCache(features, size, AGE_NS), np.random.default_rng(1)
        score, missed, codes = np.zeros(BATCH, np.float32), np.empty(BATCH, np.int32), np.empty(BATCH, np.int64)
        slots = np.arange(BATCH, dtype=np.int32)
        spent = []
        for number in range(size // BATCH + ROWS // BATCH):
            given = draw.random((BATCH, features), np.float32)
            at = [time.thread_time_ns()]
            misses = cache.look_up(slots, given, 0, score, missed, codes)
            at.append(time.thread_time_ns())
            cache.keep(missed[:misses], codes[:misses], given, 0, score)
            at.append(time.thread_time_ns())
            if number >= size // BATCH:
                spent.append([after - before for before, after in pairwise(at)])
        look_ns, keep_ns = (np.median(spent, axis=0) / BATCH).tolist()
        found.append({"cache_rows": size, "look_up_ns": look_ns, "keep_ns": keep_ns})
        print(f"{size:>9,} rows kept: look-up {look_ns:.0f} ns, keep {keep_ns:.0f} ns a row")
    return found


def of_the_bill() -> dict[str, float]:
    """ns an event of a tenant's number by kind of field, and of the ledger: read, run and decided once each."""
    fields = {"number": EventField(type="int"), "text": EventField(type="string")}
    columns, draw = Columns(Schema(fields=fields), ROWS), np.random.default_rng(2)
    names = [np.frombuffer(b"segment-%03d-of-the-bank" % number, np.uint8) for number in range(20)]
    which = draw.integers(0, len(names), ROWS)
    columns.value[0], columns.length[0] = which, NUMBER
    columns.value[1] = np.array([name.ctypes.data for name in names])[which]
    columns.length[1] = len(names[0])
    tenant_of, found = np.zeros(ROWS, np.int16), {}
    for kind in fields:
        tenants = Tenants(columns.schema, kind, 32)
        found[f"tenant_{kind}_ns"] = fastest(
            lambda at, tenants=tenants: tenants.number(columns, at, at + BATCH, tenant_of)
        )
    ledger, codes = Ledger(34, 3), np.ones(ROWS, np.int8)

    def told(first: int) -> None:
        slots = np.arange(first, first + BATCH, dtype=np.int32)
        ledger.read(first, first + BATCH, tenant_of)
        ledger.ran(1, slots, tenant_of, 1000)
        ledger.given(slots, tenant_of, codes, codes)

    found["ledger_ns"] = fastest(told)
    return found


def fastest(call: Any) -> float:
    """ns a row, in batches."""
    best = float("inf")
    for _ in range(ROUNDS):
        began_ns = time.thread_time_ns()
        for first in range(0, ROWS, BATCH):
            call(first)
        best = min(best, (time.thread_time_ns() - began_ns) / ROWS)
    return best


def draw_plot(found: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6), constrained_layout=True)
    for batch, line in ((BATCH, "o-"), (LARGE, "s--")):
        mine = [each for each in found if each["batch"] == batch]
        at = [each["spared"] * 100 for each in mine]
        for which, color, label in (("without_ns", "#556271", "without"), ("with_ns", "#2a78b8", "with the cache")):
            axes.plot(
                at, [each[which] / 1000 for each in mine], line, color=color, label=f"{label}, batches of {batch}"
            )
    axes.set(xlabel="rows spared, %", ylabel="CPU µs a row", ylim=(0, None))
    axes.set_title(f"fraud-gbt, {CACHE_ROWS:,} rows kept", fontsize=10)
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    figure.savefig(RESULTS / "caches.png", dpi=110)


def main() -> None:
    names = features_of(load("fraud", environ={}).config).names
    entry = Repository.shipped().load("fraud-gbt", "1")
    session = ModelSession(entry, providers=[CPU], buckets=[BATCH, LARGE], feature_names=names)
    session.warm()
    table = np.random.default_rng(5).gamma(0.7, 60.0, (DISTINCT, len(names))).astype(np.float32)
    repeated = [each for batch in (BATCH, LARGE) for each in by_repetition(session, table, batch)]
    nothing, bill = of_nothing_repeating(len(names)), of_the_bill()
    print(", ".join(f"{name} {ns:.1f}" for name, ns in bill.items()), "a row, batches of", BATCH)
    draw_plot(repeated)
    save(
        "caches",
        {"batch": BATCH, "cache_rows": CACHE_ROWS, "zipf": repeated, "nothing_repeats": nothing, "bill": bill},
    )


if __name__ == "__main__":
    main()
