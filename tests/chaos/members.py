"""Processes of a pipeline, as a supervisor keeps them: started, killed, asked to end, started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

END_S_MAX = 60.0
TOLD_LINES = 12
STACK_LINES = 80
STACKS_S_MAX = 5.0
ENVIRONMENT = {"PYTHONPATH": ".", "PYTHONFAULTHANDLER": "1"}
"""With the fault handler, a process that does not end says where it stands when it is aborted."""


class Member:
    """One process of `headrace run`; its words go to a file, life after life."""

    def __init__(self, assignments: Sequence[str], log_file: Path) -> None:
        self._command = [sys.executable, "-m", "pipeline.cli", "run", "--config", "fraud"]
        for assignment in assignments:
            self._command += ["--set", assignment]
        self.log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self.surprises: list[str] = []

    def start(self) -> None:
        """Start it; when it ended by itself before, that is noted."""
        self.look()
        assert self._process is None
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env={**os.environ, **ENVIRONMENT}, start_new_session=True
            )

    def look(self) -> bool:
        """Whether it runs. An end that nobody asked for is noted with its last words."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self._process = None
        self.surprises.append(f"ended by itself with {code}:\n{self.last_words()}")
        return False

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        if self.look() and self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int | None:
        """SIGTERM; its exit code, None when it did not run."""
        if not self.look() or self._process is None:
            return None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
            self._process.wait(STACKS_S_MAX)
            self.surprises.append(f"does not end within {END_S_MAX} s:\n{self.last_words(STACK_LINES)}")
            self._process = None
            return -signal.SIGABRT
        self._process = None
        return code

    def wait(self, seconds_max: float) -> int:
        """Its exit code when it ends by itself."""
        assert self._process is not None
        until_s = time.monotonic() + seconds_max
        while (code := self._process.poll()) is None and time.monotonic() < until_s:
            time.sleep(0.02)
        assert code is not None, f"it does not end within {seconds_max} s:\n{self.last_words()}"
        self._process = None
        return code

    def last_words(self, lines: int = TOLD_LINES) -> str:
        """The end of what it wrote."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
