"""The process that runs one side, and what it has told so far."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from types import TracebackType

import msgspec

from pipeline.errors import HeadraceError
from pipeline.evaluation.member import Asked, Told
from pipeline.evaluation.side import Side
from pipeline.kafka import with_parent

LOOK_S = 0.1
STOP_S_MAX = 15.0


class MemberProcess:
    """A side's pipeline over the cluster at `bootstrap`; ends with its `with` block, or with this process."""

    def __init__(self, side: Side, bootstrap: str, *, replay: bool) -> None:
        self.side = side
        self.told: list[Told] = []
        self._changed = threading.Condition()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        asked = Asked(side.letter, side.name, side.assignments, bootstrap, replay)
        member = [sys.executable, "-m", "pipeline.evaluation.member", msgspec.json.encode(asked).decode()]
        guarded = [sys.executable, "-I", with_parent.__file__, str(os.getpid()), *member]
        self._process = subprocess.Popen(guarded, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = msgspec.json.decode(line, type=Told)
            with self._changed:
                self.told.append(told)
                self._changed.notify_all()

    def wait(self, until: Callable[[list[Told]], bool], seconds: float, what: str) -> None:
        """Return when what was told is enough. Raises HeadraceError when the process ends before, or time is up."""
        until_s = time.monotonic() + seconds
        with self._changed:
            while not until(self.told):
                self.require_alive()
                if time.monotonic() > until_s:
                    raise HeadraceError(f"{self.side.letter} ({self.side.title}): {what} within {seconds:g} s")
                self._changed.wait(LOOK_S)

    def require_alive(self) -> None:
        """Raise HeadraceError with its last words when the process ended before its work was done."""
        over = self._process.poll() is not None and not self._reader.is_alive()
        if over and not (self.told and self.told[-1].ended):
            raise HeadraceError(f"{self.side.letter} ({self.side.title}) ended: {self._last_words()}")

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-5:]) or f"exit code {self._process.returncode}"

    def stop(self) -> None:
        """Let it drain and leave."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "MemberProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.stop() if kind is None else self._process.kill()
            self._process.wait()
        self._reader.join()
        self._errors.close()
