"""A pipeline that notes each metrics record, and the CPU time since the one before, as a line of JSON."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from pipeline.config.model import PipelineConfig
from pipeline.service import Summary, run_pipeline


def run_noting(config: PipelineConfig, stop: threading.Event, moments: str) -> Summary:
    """Run until `stop`, the lines going to the file `moments`; prints `ready` when the group is being joined."""
    cpu_s = [time.process_time()]
    with Path(moments).open("wb") as written:

        def note(record: Any, _totals: Any) -> None:
            now_s = time.process_time()
            line = {"cpu_s": now_s - cpu_s[0], **msgspec.to_builtins(record, str_keys=True)}
            cpu_s[0] = now_s
            written.write(json.dumps(line).encode() + b"\n")

        return run_pipeline(config, stop=stop, on_meter=note, on_ready=lambda: print("ready", flush=True))
