"""One process of a fleet over topics that are there: `python -m bench._member BOOTSTRAP GROUP`, until SIGTERM.

Prints `{"ready": true}`, then one line of JSON. The budget is an hour, so that a backlog is scored.
"""

import json
import signal
import sys
import threading
import time
from typing import Any

from bench._patient import patient
from pipeline.service import run_pipeline


def main() -> None:
    bootstrap, group = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    config = patient(bootstrap, group, "engine.metrics_ms=100")
    before_s = time.process_time()
    first: list[float] = []
    last = [0.0, 0.0]

    def look(record: Any, _totals: Any) -> None:
        """From the metrics before the first work to those after the last."""
        nonlocal before_s
        if sum(record.outcomes.values()) or record.counts.get("rebuilt", 0):
            first.extend([] if first else [before_s, time.time()])
            last[:] = time.process_time(), time.time()
        before_s = time.process_time()

    summary = run_pipeline(config, stop=stop, on_meter=look, on_ready=lambda: print('{"ready":true}', flush=True))
    totals = summary.totals
    result = {
        "decided": totals.outcomes["scored"],
        "outcomes": totals.outcomes,
        "state_only": totals.counts["rebuilt"],
        "cpu_s": last[0] - first[0] if first else 0.0,
        "began_s": first[1] if first else 0.0,
        "ended_s": last[1],
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
