"""The processes of a live run of the vision pipeline.

`python -m bench._vision_live pipeline BOOTSTRAP SUFFIX MODELS MOMENTS [SETTING=VALUE ...]` runs the shipped pipeline
until SIGTERM, writes each metrics record to MOMENTS as a line, and prints a line of JSON; MODELS is a folder, or -;
`python -m bench._vision_live send BOOTSTRAP SUFFIX SIZE CAMERAS RATE SECONDS` sends frames and prints a line of JSON.
"""

import json
import signal
import sys
import threading
import time
from pathlib import Path

from bench._moments import run_noting
from bench._vision_frames import configured, of_cameras
from pipeline.sim.frames import FrameLoad, drive_frames

METRICS_MS = 100


def run(bootstrap: str, suffix: str, models: str, moments: str, *settings: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    folder = None if models == "-" else Path(models)
    config = configured(bootstrap, suffix, folder, (f"engine.metrics_ms={METRICS_MS}", *settings))
    summary = run_noting(config, stop, moments)
    print(json.dumps({"drained": summary.drained}), flush=True)


def send(bootstrap: str, suffix: str, size: str, cameras: str, rate: str, seconds: str) -> None:
    """No two frames alike, so that the pipeline's cache of duplicates answers none of them."""
    belt = of_cameras(size, int(cameras))
    belt.frames()  # drawn before the clock starts
    load = FrameLoad(int(float(rate) * float(seconds)), float(rate), belt, f"frames{suffix}", distinct=True)
    begin_ms = time.time_ns() // 1_000_000
    sent = drive_frames({"bootstrap.servers": bootstrap}, load)
    end_ms = time.time_ns() // 1_000_000
    result = {"sent": sent.frames, "behind_ms_max": sent.behind_ms_max, "begin_ms": begin_ms, "end_ms": end_ms}
    print(json.dumps(result), flush=True)


def main() -> None:
    kind, *arguments = sys.argv[1:]
    {"pipeline": run, "send": send}[kind](*arguments)


if __name__ == "__main__":
    main()
