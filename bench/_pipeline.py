"""The shipped fraud pipeline over a topic that is there, in a process of its own; prints one line of JSON.

`python -m bench._pipeline BOOTSTRAP EVENTS GROUP [profile|plain] [SETTING=VALUE ...]`. Only the addresses differ from
the shipped defaults, and the budget: an hour, so that a backlog is scored rather than expired.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from bench._patient import patient
from features.state import FeatureSet
from pipeline.assembly import Assembly
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.readings import health_of
from pipeline.tier import ModelTier
from pipeline.tiers import open_tiers


def timed(owner: Any, name: str, label: str, spent: Counter[str]) -> None:
    """Count the time inside a method; what timed methods it calls is taken off."""
    inner: Callable[..., Any] = getattr(owner, name)

    def outer(*args: Any, **kwargs: Any) -> Any:
        before, started = sum(spent.values()), time.perf_counter_ns()
        result = inner(*args, **kwargs)
        spent[label] += time.perf_counter_ns() - started - (sum(spent.values()) - before)
        return result

    setattr(owner, name, outer)


def profiled(assembly: Assembly) -> Counter[str]:
    spent: Counter[str] = Counter()
    intake, outlet = assembly.intake, assembly.outlet
    timed(intake._decoder, "decode", "decode", spent)
    timed(intake._state, "apply", "features", spent)
    timed(intake, "_claim", "claim, extract", spent)
    timed(intake, "_make_rows", "deadlines, offer", spent)
    timed(intake, "poll", "consume", spent)
    timed(assembly.batcher, "poll", "batch", spent)
    for tier in assembly.tiers:
        if isinstance(tier, ModelTier):
            timed(tier.session, "run", "score", spent)
    timed(assembly.scorer, "submit", "gather, scatter", spent)
    timed(assembly.decider, "scored", "decide", spent)
    timed(outlet._encoder, "encode", "encode", spent)
    timed(outlet._producer, "produce_batch", "produce", spent)
    timed(outlet._producer, "deliveries", "delivery reports", spent)
    timed(assembly.in_flight, "settle", "settle", spent)
    timed(assembly.in_flight, "settle_chunk", "settle", spent)
    timed(outlet, "settle", "hand over", spent)
    timed(assembly.in_flight, "free_settled", "free", spent)
    for name in ("decided", "delivered", "tick"):
        timed(assembly.meter, name, "metrics", spent)
    timed(assembly.group, "serve", "group", spent)
    timed(assembly.group, "commit", "commit", spent)
    timed(assembly.engine, "_feed_state", "state lanes", spent)
    return spent


def main() -> None:
    bootstrap, events, group = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    config = patient(bootstrap, group, "kafka.consumer.auto.offset.reset=earliest", *sys.argv[5:])
    features = FeatureSet(config.catalog)
    tiers = open_tiers(config, features.names)
    clock = SystemClock()
    assembly = Assembly(config, tiers, features, [], clock, health_of(config, clock.instant()))
    spent = profiled(assembly) if sys.argv[4:5] == ["profile"] else Counter()
    assembly.start()
    engine, intake = assembly.engine, assembly.intake
    while not intake.counts.read:
        if not engine.turn():
            assembly.wake.wait(10)
    spent.clear()
    started, cpu = time.perf_counter(), time.process_time()
    while intake.counts.read < events or assembly.in_flight.used_rows:
        if not engine.turn():
            assembly.wake.wait(10)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    engine.drain(clock.now_ns() + 2_000 * NS_PER_MS)
    totals = assembly.meter.finish(clock.instant())
    assembly.close()
    batches = totals.batch_rows
    print(
        json.dumps(
            {
                "seconds": took,
                "events": intake.counts.read,
                "cpu_s": cpu,
                "outcomes": totals.outcomes,
                "batches": sum(batches.values()),
                "counts": totals.counts,
                "us_an_event": {name: ns / events / 1000 for name, ns in spent.most_common()},
            }
        )
    )


if __name__ == "__main__":
    main()
