"""The fraud pipeline as `headrace run` runs it, until SIGTERM; prints one line of JSON at its end.

`python -m bench._telling BOOTSTRAP GROUP [SETTING=VALUE ...]`. The budget is an hour, so that a backlog is scored.
"""

import json
import os
import signal
import sys
import threading

from pipeline.config.load import load
from pipeline.service import run_pipeline

HOUR_MS = 3_600_000


def main() -> None:
    bootstrap, group, *settings = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    assignments = (
        f"kafka.bootstrap.servers={bootstrap}",
        f"kafka.group.id={group}",
        "kafka.consumer.auto.offset.reset=earliest",
        f"pipeline.budget_ms_max={HOUR_MS}",
        f"pipeline.budget_ms={HOUR_MS}",
        *settings,
    )
    config = load("fraud", environ=os.environ, assignments=assignments).config
    summary = run_pipeline(config, stop=stop)
    print(json.dumps({"outcomes": summary.totals.outcomes}), flush=True)


if __name__ == "__main__":
    main()
