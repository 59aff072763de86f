"""One process under one load on a real cluster: what its metrics said while the load lasted."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pipeline
from bench._cluster import delete_topics, make_topics
from pipeline.sim.driver import Load, default_start_ms, drive
from pipeline.sim.transactions import MS_PER_DAY

SETTLE_S = 2.0
PHASE_DAYS = 2000
"""Of simulated time between the beginnings of phases, so that no event of a later one is older."""
TOPICS = {"transactions": 4, "labels": 2, "decisions": 4, "dead-letters": 1, "metrics": 1}
SHIPPED = Path(pipeline.__file__).parent / "configs" / "fraud.toml"


def own_configuration(folder: Path, tiers: Sequence[str], models: Path | None, engine: str) -> Path:
    """The fraud pipeline with other tiers and engine settings."""
    text = SHIPPED.read_text()
    head, tail = text.split("[[tiers]]")[0], text[text.index("[decide]") : text.index("[engine]")]
    path = folder / "fraud.toml"
    repository = f'[models]\nfolder = "{models}"\n' if models else ""
    path.write_text(
        f"{head}{''.join(f'[[tiers]]{chr(10)}{tier}{chr(10)}' for tier in tiers)}{repository}{tail}{engine}"
    )
    return path


@dataclass(frozen=True)
class Trial:
    """`moments` are the metrics records of every tenth of a second, with `cpu_s`; times in ms since the epoch."""

    moments: list[dict[str, Any]]
    phases_ms: list[tuple[int, int]]
    start_ms: int
    topics: dict[str, str]
    drained: bool
    learned: dict[str, dict[str, Any]]

    def during(self, phase: int, skip_s: float = 0.0) -> list[dict[str, Any]]:
        """The records of a phase without its first seconds."""
        begin, end = self.phases_ms[phase]
        return [each for each in self.moments if begin + skip_s * 1000 <= each["from_ms"] and each["to_ms"] <= end]


def total(moments: Sequence[dict[str, Any]], table: str, name: str) -> int:
    return sum(int(each[table].get(name, 0)) for each in moments)


def run_trial(bootstrap: str, config: str, way: str, phases: Sequence[tuple[float, float]], *, keep: bool) -> Trial:
    """Start the process, send each phase's (rate, seconds), end it. With `keep` its topics stay for the caller."""
    suffix = f"-{time.time_ns()}"
    names = {name: name + suffix for name in TOPICS}
    make_topics(bootstrap, {names[name]: count for name, count in TOPICS.items()})
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as moments:
        command = [sys.executable, "-m", "bench._overload", config, way, bootstrap, suffix, moments.name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if "ready" not in process.stdout.readline():
            raise SystemExit(f"the pipeline did not start:\n{process.communicate()[1][-3000:]}")
        time.sleep(SETTLE_S)
        spans = []
        start_ms = default_start_ms(time.time_ns() // 1_000_000) - len(phases) * PHASE_DAYS * MS_PER_DAY
        for number, (rate, seconds) in enumerate(phases):
            begin = time.time_ns() // 1_000_000
            load = Load(int(rate * seconds), rate, topic=names["transactions"], labels_topic=names["labels"])
            drive({"bootstrap.servers": bootstrap}, load, start_ms=start_ms + number * PHASE_DAYS * MS_PER_DAY)
            spans.append((begin, time.time_ns() // 1_000_000))
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=120)
        if not out:
            raise SystemExit(f"the pipeline failed:\n{error[-3000:]}")
        records = [json.loads(line) for line in Path(moments.name).read_bytes().splitlines()]
    if not keep:
        delete_topics(bootstrap, list(names.values()))
    ended = json.loads(out.splitlines()[-1])
    return Trial(records, spans, start_ms, names, bool(ended["drained"]), ended["learned"])
