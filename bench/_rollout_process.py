"""One pipeline whose versions may change: `python -m bench._rollout_process CONFIG MOMENTS SETTING=VALUE ...`.

Writes each metrics record to MOMENTS as a line.
"""

import json
import os
import signal
import sys
import threading

from bench._moments import run_noting
from pipeline.config.load import load


def main() -> None:
    path, moments, *assignments = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    config = load(path, environ=os.environ, assignments=assignments).config
    summary = run_noting(config, stop, moments)
    print(json.dumps({"drained": summary.drained}), flush=True)


if __name__ == "__main__":
    main()
