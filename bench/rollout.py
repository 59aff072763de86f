"""What a shadow costs at 90 % of the capacity: deadlines kept with it and without, in virtual time and live.

Live they take turns in one process, on the embedded cluster. The model costs about a millisecond a row, and so does
its shadow: nothing else is the bottleneck, and there is slack for one row in ten at most. First the capacity is
measured, by offering more. The budget is a second, so that neighbours on the machine do not decide.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench._machine import save
from bench._shadow_slack import Slack, simulated
from bench._slow_model import NAME, write_slow_model
from bench._trial import PHASE_DAYS, own_configuration, total
from pipeline.config.load import load
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.rollout.course import begun, rolled_back
from pipeline.rollout.desk import ask, named, new_name
from pipeline.sim.driver import Load, default_start_ms, drive
from pipeline.sim.transactions import MS_PER_DAY

TOPICS = {"transactions": 4, "labels": 2, "decisions": 4, "dead-letters": 1, "metrics": 1, "rollouts": 1, "audit": 1}
UTILISATION = 0.9
SKIPPED_S = 2.0
"""Of each turn, while what was put in force comes to be."""
TIER = f'name = "primary"\nmodel = "{NAME}"'
ENGINE = "[engine]\nbuckets = [1, 2, 4, 8, 16, 32, 64]\nmetrics_ms = 100\n"


class Process:
    """The pipeline, the traffic to it, and what its metrics said."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        fraud = load("fraud", environ={}).config
        write_slow_model(folder / "models", tuple(fraud.features))
        shutil.copytree(folder / "models" / NAME / "1", folder / "models" / NAME / "2")
        manifest = folder / "models" / NAME / "2" / "manifest.toml"
        manifest.write_text(manifest.read_text().replace('version = "1"', 'version = "2"'))
        path = own_configuration(folder, [TIER], folder / "models", ENGINE)
        given = [f"kafka.bootstrap.servers={bootstrap}", "rollout.enabled=true", "rollout.shadow_run_us_max=5000"]
        given += ["rollout.step_s_min=3600", "pipeline.budget_ms=1000"]
        self._moments = folder / "moments.jsonl"
        command = [sys.executable, "-m", "bench._rollout_process", str(path), str(self._moments), *given]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if "ready" not in self._process.stdout.readline():
            raise SystemExit("the pipeline did not start")
        self.config = load(str(path), environ={}, assignments=given).config
        self._settings = {"bootstrap.servers": bootstrap}
        self._phase = 0

    def send(self, rate: float, seconds: float) -> list[dict[str, Any]]:
        """Offer so much; returns the metrics records of it without their beginning."""
        self._phase += 1
        begin_ms = time.time_ns() // 1_000_000
        start_ms = default_start_ms(begin_ms) - (100 - self._phase) * PHASE_DAYS * MS_PER_DAY // 100
        drive(self._settings, Load(int(rate * seconds), rate), start_ms=start_ms)
        end_ms = time.time_ns() // 1_000_000
        time.sleep(0.5)
        lines = self._moments.read_bytes().splitlines()
        records = [json.loads(line) for line in lines if line.endswith(b"}")]
        first_ms = begin_ms + SKIPPED_S * 1000
        return [each for each in records if first_ms <= each["from_ms"] and each["to_ms"] <= end_ms]

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)


def kept(moments: list[dict[str, Any]]) -> dict[str, float]:
    """Decided in time, of all that were asked for."""
    answered = sum(total(moments, "outcomes", name) for name in ("scored", "degraded", "expired"))
    in_time = total(moments, "in_time", "primary")
    return {
        "asked": answered,
        "in_time": in_time,
        "missed_share": sum(each["deadline_misses"] for each in moments) / max(1, answered),
        "shadow_rows": total(moments, "counts", "shadow_rows"),
        "shadow_skipped": total(moments, "counts", "shadow_skipped"),
        "seconds": sum(each["to_ms"] - each["from_ms"] for each in moments) / 1000,
    }


def measured(process: Process, rounds: int, seconds: float) -> dict[str, Any]:
    process.send(300.0, 5.0)
    full = kept(process.send(3000.0, 8.0))
    capacity = full["in_time"] / full["seconds"]
    rate = UTILISATION * capacity
    print(f"capacity {capacity:.0f} rows/s, {rate:.0f} are offered", flush=True)
    process.send(rate, 5.0)
    candidate = named(process.config, NAME, "2")
    turns: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    for number in range(rounds):
        for way in ("without", "with") if number % 2 == 0 else ("with", "without"):
            if way == "with":
                ask(
                    process.config,
                    "primary",
                    lambda now: begun(now, candidate, new_name(), 0.1, shadow=True, auto=False),
                )
            turns[way].append(kept(process.send(rate, seconds)))
            if way == "with":
                ask(process.config, "primary", rolled_back)
            print(f"{way} shadow: {turns[way][-1]}", flush=True)
    missed = {
        way: sum(each["missed_share"] * each["asked"] for each in found) / sum(each["asked"] for each in found)
        for way, found in turns.items()
    }
    return {"capacity_rows_s": capacity, "offered_rows_s": rate, "missed_share": missed, "turns": turns}


def in_virtual_time(events: int) -> list[dict[str, Any]]:
    """Models of three prices, the budget a hundred times the rows of a run or so."""
    found = []
    for us_a_row, budget_ms, run_us_max in ((1000.0, 100.0, 5000), (100.0, 50.0, 1000), (2.0, 20.0, 1000)):
        ways = {
            way: asdict(simulated(Slack(us_a_row, budget_ms, UTILISATION, events, way == "with", run_us_max)))
            for way in ("without", "with")
        }
        found.append({"us_a_row": us_a_row, "budget_ms": budget_ms, "shadow_run_us_max": run_us_max, **ways})
        print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--events", type=int, default=200_000, help="In virtual time.")
    parser.add_argument("--virtual", action="store_true", help="Nothing but that.")
    arguments = parser.parse_args()
    virtual = in_virtual_time(arguments.events)
    if arguments.virtual:
        save("rollout", {"virtual": virtual})
        return
    with EmbeddedCluster(TOPICS) as cluster, tempfile.TemporaryDirectory() as folder:
        process = Process(cluster.bootstrap, Path(folder))
        try:
            found = measured(process, arguments.rounds, arguments.seconds)
        finally:
            process.end()
    print(found["missed_share"], flush=True)
    save("rollout", {"virtual": virtual, "live": found})


if __name__ == "__main__":
    main()
