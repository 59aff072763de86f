"""One configuration's pipeline as a process of its own: `python -m pipeline.evaluation.member ASKED`, until SIGTERM.

A line of JSON at its start, with each metrics record and at its end; a replay ends by itself.
"""

import os
import signal
import sys
import threading
import time

import msgspec

from pipeline.errors import HeadraceError
from pipeline.kafka.librdkafka import KafkaError
from pipeline.wire.metrics import MetricsRecord


class Asked(msgspec.Struct, frozen=True):
    """What is run, as the command line named it, and where."""

    letter: str
    name: str
    assignments: tuple[str, ...]
    bootstrap: str
    replay: bool


class Told(msgspec.Struct, frozen=True):
    """What the process says: how much CPU it has used, and what it did since it last said so."""

    cpu_s: float
    record: MetricsRecord | None = None
    ended: bool = False


def main() -> None:
    """Run what the first argument asks for."""
    from pipeline.config.load import load
    from pipeline.evaluation.side import apart
    from pipeline.service import run_pipeline
    from pipeline.telemetry.log_lines import TEXT
    from pipeline.telemetry.logs import set_up_logs

    set_up_logs("error", TEXT, contents=False)
    asked = msgspec.json.decode(sys.argv[1], type=Asked)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config = load(asked.name, environ=os.environ, assignments=asked.assignments).config
    config = apart(config, asked.letter, asked.bootstrap, replay=asked.replay)
    run_pipeline(
        config,
        stop=stop,
        on_ready=lambda: _say(Told(time.process_time())),
        on_meter=lambda record, _totals: _say(Told(time.process_time(), record)),
    )
    _say(Told(time.process_time(), ended=True))


def _say(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the process that started this one tells its last line
        kind = "" if isinstance(error, HeadraceError | KafkaError | ValueError) else f"{type(error).__name__}: "
        sys.exit(f"{kind}{error}")
