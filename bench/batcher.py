"""Goodput against offered load: our batcher against no batching, a fixed size with a timeout, and two queues.

A model that costs about a millisecond a row is the bottleneck; only it may score. In virtual time, and on a real
cluster. Goodput is what the model scored and the broker had inside the deadline. Then, with a rule below the model:
who got what.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench._cluster import delete_topics, real_cluster
from bench._machine import RESULTS, save
from bench._rivals import OURS, RIVALS, WAYS
from bench._slow_model import NAME, write_slow_model
from bench._trial import own_configuration, run_trial, total
from pipeline.config.load import load
from pipeline.sim.arrivals import poisson
from pipeline.sim.loop import simulate
from pipeline.sim.policy import CostedPolicy, LivePolicy, seeded
from pipeline.sim.process import Hop, ProcessModel
from pipeline.sim.service import Curve, Noise
from pipeline.sim.trace import Workload
from pipeline.sim.transactions import Population, TransactionSource
from pipeline.tiers import open_tiers

LOADS = (0.5, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0)
BUCKETS = (1, 2, 4, 8, 16, 32, 64)
ENGINE = f'[engine]\nbuckets = {list(BUCKETS)}\nsession = "thread"\n'
BUDGET_NS = 100_000_000
WARM_S, SECONDS = 4.0, 6.0
NOISE = 0.03
COLOURS = {OURS: "#2f6fb0", **dict(zip(RIVALS, ("#9aa5b1", "#c77d2e", "#5a9367", "#a45a7a"), strict=True))}
LADDER = (f'name = "primary"\nmodel = "{NAME}"', 'name = "rule"\nrule = "min(1, amount / 500)"')


def measured_curve(config: Path) -> dict[int, float]:
    """The slow model's median run by size, on its own warmed session."""
    loaded = load(str(config), environ={}).config
    tier = open_tiers(loaded, tuple(loaded.features))[0]
    assert tier.label.model == NAME
    return {size: float(np.median(runs)) for size, runs in tier.session.warm().items()}  # type: ignore[union-attr]


def simulated(curve: dict[int, float], way: str, rate: float) -> dict[str, Any]:
    work = Workload.with_budget(poisson(rate, SECONDS + WARM_S, 7), BUDGET_NS)
    service = Noise(Curve(curve, BUCKETS[-1]), NOISE, np.random.default_rng(3))
    seeds = {size: [service.took_ns(size, 0) for _ in range(5)] for size in BUCKETS}
    hop = Hop(2_000_000, 1_250_000, 0.7)
    process = ProcessModel(fetch=hop, delivery=hop, promised_delivery_ns_max=BUDGET_NS // 2)
    if way == OURS:
        policy: CostedPolicy = LivePolicy(work, BUCKETS, [seeds])
    else:
        cost = seeded(BUCKETS, seeds)
        policy = CostedPolicy(RIVALS[way](work.deadline_ns, [cost], BUCKETS[-1]), [cost])
    trace = simulate(work, [service], policy, process)
    warm = work.arrival_ns >= WARM_S * 1e9
    scored = (trace.tier == 0) & warm
    return {
        "goodput": float((trace.good() & warm).sum() / SECONDS),
        "late": float((scored & ~trace.good()).sum() / max(1, scored.sum())),
        "expired": float((warm & (trace.tier != 0)).sum() / max(1, warm.sum())),
        "broken_promises": trace.batches.broken_promises(),
    }


def real(bootstrap: str, config: Path, way: str, rate: float) -> dict[str, Any]:
    trial = run_trial(bootstrap, str(config), way, [(rate, WARM_S + SECONDS)], keep=False)
    moments = trial.during(0, WARM_S)
    seconds = sum(each["to_ms"] - each["from_ms"] for each in moments) / 1000
    in_time, overdue = (total(moments, name, "primary") for name in ("in_time", "overdue"))
    cold_in_time, cold_overdue = (total(trial.moments, name, "primary") for name in ("in_time", "overdue"))
    return {
        "goodput": in_time / seconds,
        "scored": total(moments, "tiers", "primary") / seconds,
        "late": overdue / max(1, in_time + overdue),
        "late_with_start": cold_overdue / max(1, cold_in_time + cold_overdue),
        "expired": total(moments, "outcomes", "expired")
        / max(1, sum(total(moments, "outcomes", n) for n in OUTCOMES)),
        "runs": total(trial.moments, "counts", "runs"),
        "broken_promises": total(trial.moments, "counts", "promises_broken")
        / max(1, total(trial.moments, "counts", "runs")),
        "drained": trial.drained,
    }


OUTCOMES = ("scored", "degraded", "expired")


def by_value(bootstrap: str, config: Path, rate: float) -> dict[str, Any]:
    """With the ladder on: of each quarter of the events by amount, the share each tier answered."""
    trial = run_trial(bootstrap, str(config), OURS, [(rate, WARM_S + SECONDS)], keep=True)
    sent = int(rate * (WARM_S + SECONDS))
    tiers = read_tiers(bootstrap, trial.topics["decisions"], sent)
    delete_topics(bootstrap, list(trial.topics.values()))
    amounts: list[Any] = []
    for day in TransactionSource(Population(), trial.start_ms).days(0):
        amounts.append(day.amount_cents)
        if sum(map(len, amounts)) >= sent:
            break
    amount = np.concatenate(amounts)[:sent]
    quarter = np.argsort(np.argsort(amount, kind="stable"), kind="stable") * 4 // sent
    ids = np.array(sorted(tiers))
    got = np.array([tiers[number] for number in ids.tolist()])
    names = ("primary", "rule", "expired")
    shares = [{name: float((got[quarter[ids] == q] == name).mean()) for name in names} for q in range(4)]
    return {"sent": sent, "answered": len(tiers), "by_value": shares}


def read_tiers(bootstrap: str, topic: str, sent: int) -> dict[int, str]:
    from confluent_kafka import Consumer, TopicPartition

    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "tiers", "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(topic, number, 0) for number in range(4)])
    pattern, found, quiet = re.compile(rb'"id":"(\d+)".*"tier":"(\w+)"'), {}, 0
    while len(found) < sent and quiet < 5:
        messages = reader.consume(10_000, 1.0)
        quiet = 0 if messages else quiet + 1
        for message in messages:
            match = pattern.search(message.value() or b"")
            assert match is not None, message.value()
            found[int(match[1])] = match[2].decode()
    reader.close()
    return found


def plot(rows: dict[str, list[dict[str, Any]]], capacity: float, name: str, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.5, 4.4))
    axis.plot(LOADS, np.minimum(LOADS, 1.0), ":", color="#444", label="all that can be")
    for way, points in rows.items():
        style = "o-" if way == OURS else "s--"
        shares = [point["goodput"] / capacity for point in points]
        axis.plot(LOADS, shares, style, color=COLOURS[way], label=way, lw=2.2 if way == OURS else 1.3, ms=5)
    axis.set_xscale("log")
    axis.set_xticks(LOADS, [f"{load:g}" for load in LOADS])
    axis.minorticks_off()
    axis.set_xlabel("offered load, times capacity")
    axis.set_ylabel("goodput, share of capacity")
    axis.set_ylim(0, 1.1)
    axis.set_title(title, fontsize=10)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulated", action="store_true", help="in virtual time only")
    parser.add_argument("--loads", type=float, nargs="*", default=LOADS, help="of the real cluster")
    parser.add_argument("--ways", nargs="*", default=WAYS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        write_slow_model(models, tuple(load("fraud", environ={}).config.features))
        config = own_configuration(Path(folder), LADDER[:1], models, ENGINE)
        curve = measured_curve(config)
        capacity = max(size / ns for size, ns in curve.items()) * 1e9
        print(f"capacity {capacity:,.0f} rows a second, {1e6 / capacity:,.0f} us a row at best", flush=True)
        result: dict[str, Any] = {"curve_us": {size: ns / 1000 for size, ns in curve.items()}, "capacity": capacity}
        result["simulated"] = {way: [simulated(curve, way, x * capacity) for x in LOADS] for way in WAYS}
        plot(result["simulated"], capacity, "batcher-simulated", "in virtual time, the model's measured cost curve")
        for way, points in result["simulated"].items():
            print(f"simulated {way:24}", [round(point["goodput"] / capacity, 3) for point in points], flush=True)
        if arguments.simulated:
            return
        with real_cluster() as bootstrap:
            # Twice, since the first also warms the broker's own compiler up. Beside a broker on the same cores a run
            # takes longer than alone: capacity is what the model scores there when nothing else is asked of it.
            alone, unlimited = capacity, WAYS[-1]
            capacity = [real(bootstrap, config, unlimited, 1.5 * alone)["scored"] for _ in range(2)][1]
            print(f"beside the broker {capacity:,.0f} rows a second", flush=True)
            result |= {"capacity_beside_the_broker": capacity, "loads": list(arguments.loads), "real": {}}
            for way in arguments.ways:
                result["real"][way] = [real(bootstrap, config, way, x * capacity) for x in arguments.loads]
                print(way, json.dumps(result["real"][way]), flush=True)
            ladder = Path(folder) / "ladder"
            ladder.mkdir()
            config = own_configuration(ladder, LADDER, models, ENGINE)
            result["ladder"] = {str(x): by_value(bootstrap, config, x * capacity) for x in (1.0, 2.0, 5.0, 10.0)}
            print(json.dumps(result["ladder"]), flush=True)
    save("batcher", result)
    if tuple(arguments.loads) == LOADS:
        plot(result["real"], capacity, "batcher", "one process, real Kafka, the model on a thread of its own")


if __name__ == "__main__":
    main()
