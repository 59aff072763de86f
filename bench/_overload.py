"""One pipeline process of an overload run, until SIGTERM; prints one line of JSON at its end.

`python -m bench._overload CONFIG WAY BOOTSTRAP SUFFIX MOMENTS` runs the configuration with the batcher of that way,
and writes each metrics record to MOMENTS as a line.
"""

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, cast

import pipeline.assembly
import pipeline.service
from bench._moments import run_noting
from bench._rivals import OURS, RIVALS
from pipeline.batcher import Batcher
from pipeline.config.load import load
from pipeline.tier import ModelTier, Tier
from pipeline.tiers import open_tiers

Z_99 = 2.326


def use(way: str) -> None:
    """Put a rival in the batcher's place."""
    if way == OURS:
        return

    def rival(config: Any, rows: Any, tiers: Any) -> Batcher:
        costs = [tier.cost if isinstance(tier, ModelTier) else None for tier in tiers]
        return cast(Batcher, RIVALS[way](rows.deadline_ns, costs, max(config.engine.buckets)))

    pipeline.assembly.batcher_of = rival


made: list[Tier] = []


def remembered(*arguments: Any) -> list[Tier]:
    """The tiers, kept to be asked at the end."""
    made[:] = open_tiers(*arguments)
    return made


def main() -> None:
    pipeline.service.open_tiers = remembered
    path, way, bootstrap, suffix, moments = sys.argv[1:]
    use(way)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    topics = {"decisions": "decisions", "dead_letters": "dead-letters", "metrics": "metrics"}
    assignments = (
        f"kafka.bootstrap.servers={bootstrap}",
        f"kafka.group.id=overload{suffix}",
        "engine.metrics_ms=100",
        *(f"topics.{name}={topic}{suffix}" for name, topic in topics.items()),
        *(f"inputs.{name}.topic={name}{suffix}" for name in ("transactions", "labels")),
    )
    config = load(path, environ=os.environ, assignments=assignments).config
    summary = run_noting(config, stop, moments)
    learned = {tier.name: learned_costs(tier, config.engine.buckets) for tier in made if isinstance(tier, ModelTier)}
    print(json.dumps({"drained": summary.drained, "learned": learned}), flush=True)


def learned_costs(tier: ModelTier, buckets: Sequence[int]) -> dict[str, Any]:
    """What the run taught of a tier's costs; the noise is that of a lognormal with the quantile promised."""
    expected_us = {size: tier.cost.expected_ns(size) / 1000 for size in buckets}
    upper = tier.cost.promised_ns(buckets[-1]) / max(1, tier.cost.expected_ns(buckets[-1]))
    return {"expected_us": expected_us, "noise": math.log(max(upper, 1.0)) / Z_99}


if __name__ == "__main__":
    main()
