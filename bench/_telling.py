"""The fraud pipeline as `headrace run` runs it, until SIGTERM; prints one line of JSON at its end.

`python -m bench._telling BOOTSTRAP GROUP [SETTING=VALUE ...]`. The budget is an hour, so that a backlog is scored.
"""

import json
import signal
import sys
import threading

from bench._patient import patient
from pipeline.service import run_pipeline


def main() -> None:
    bootstrap, group, *settings = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    config = patient(bootstrap, group, "kafka.consumer.auto.offset.reset=earliest", *settings)
    summary = run_pipeline(config, stop=stop)
    print(json.dumps({"outcomes": summary.totals.outcomes}), flush=True)


if __name__ == "__main__":
    main()
