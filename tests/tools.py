"""Programs of others that tests ask: from the PATH, else from their own image; without either a user's run skips."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

IMAGES = {"promtool": "prom/prometheus:v2.53.0", "amtool": "prom/alertmanager:v0.27.0"}
SECONDS_MAX = 120


def ask(program: str, folder: Path, *arguments: str) -> str:
    """What the program says, run in the folder. An AssertionError has it when the program fails."""
    command = _found(program, folder)
    done = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def _found(program: str, folder: Path) -> list[str]:
    if shutil.which(program):
        return [program]
    image = IMAGES[program]
    if shutil.which("docker"):
        run = ["docker", "run", "--rm", "--network", "none", "-v", f"{folder}:/tested:ro", "-w", "/tested"]
        command = [*run, "--entrypoint", program, image]
        tried = subprocess.run([*command, "--version"], capture_output=True, timeout=SECONDS_MAX, check=False)
        if tried.returncode == 0:
            return command
    missing = f"no {program}: neither on the PATH nor, by Docker, in {image}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
