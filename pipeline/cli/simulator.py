"""The simulator as a process of its own, so that it takes nothing from the pipeline's interpreter."""

import json
import os
import subprocess
import sys
from typing import Any

from pipeline.telemetry import logs

STOP_S_MAX = 10.0
POPULATION = ("--customers", "1000", "--terminals", "2000")
"""Few enough that a simulated week passes in seconds, so that labels and full windows are seen."""
EVENTS = ("transactions", "frames")
"""What its report calls the events that ask for decisions."""


class SimulatorProcess:
    """`headrace simulate` beside us. It is started once and reports what it produced when it ends."""

    def __init__(self, pipeline: str, bootstrap: str, *, rate: int | None, seconds: int | None, seed: int) -> None:
        self._arguments = [*POPULATION, "--config", pipeline, "--bootstrap", bootstrap, "--seed", str(seed)]
        if rate is not None:
            self._arguments += ["--rate", str(rate)]
        if seconds is not None:
            self._arguments += ["--seconds", str(seconds)]
        self._process: subprocess.Popen[bytes] | None = None
        self._report: dict[str, Any] | None = None
        self._told = False

    def start(self) -> None:
        """Start producing. In a session of its own: the terminal's Ctrl-C is for us to pass on, once."""
        command = [sys.executable, "-m", "pipeline.cli", "simulate", "--json", *self._arguments]
        environ = {**os.environ, **logs.environment()}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, start_new_session=True)

    def terminate(self) -> None:
        """Ask it to flush, report and end; harmless when repeated."""
        if self._process is not None and not self._told:
            self._told = True
            self._process.terminate()

    def produced(self) -> int | None:
        """How many events it produced and saw delivered; None until it has ended."""
        if self._process is None or self._process.poll() is None:
            return None
        if self._report is None:
            assert self._process.stdout is not None
            lines = self._process.stdout.read().decode().splitlines()
            self._report = json.loads(lines[-1]) if lines and self._process.returncode == 0 else {}
        return int(next((self._report[name] for name in EVENTS if name in self._report), 0))

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def failed(self) -> bool:
        """Whether it ended in another way than by finishing."""
        return bool(self.code)

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S_MAX)
