"""The shipped compose file under a project name of its own, on free ports, and what the tests ask of it."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from pipeline.kafka.broker import free_port

ROOT = Path(__file__).parents[2]
SERVICES = ("simulate-fraud", "simulate-vision", "fraud", "vision", "slo", "prometheus", "alertmanager")
"""What is asked for; Kafka and its topics come with them. Grafana's provisioning is tested by reading it."""
PORTS = {
    "KAFKA_PORT": 9094,
    "FRAUD_PORT": 9464,
    "VISION_PORT": 9464,
    "SLO_PORT": 9480,
    "PROMETHEUS_PORT": 9090,
    "ALERTMANAGER_PORT": 9093,
}
COMMAND_S_MAX = 900
ANSWER_S_MAX = 5
HEAL_S_MAX = 120.0
UP_AGAIN = 2
POLL_S = 0.2
LOG_LINES = 40
T = TypeVar("T")


def eventually(ask: Callable[[], T], what: str, seconds: float = HEAL_S_MAX) -> T:
    """What `ask` answers once it is true; an AssertionError with the last answer when it never is.

    Nobody there to answer is an answer.
    """
    until_s = time.monotonic() + seconds
    while True:
        try:
            found: Any = ask()
            if found:
                return found  # type: ignore[no-any-return]
        except (OSError, json.JSONDecodeError, KafkaException) as error:
            found = error
        assert time.monotonic() < until_s, f"{what}: not within {seconds:.0f} s, last: {found!r}"
        time.sleep(POLL_S)


class Stack:
    """One project of Compose. `changes` is laid over the compose file, as a second one would be."""

    def __init__(self, folder: Path, name: str, changes: Mapping[str, Any]) -> None:
        self._name = name
        self._ports = {variable: free_port() for variable in PORTS}
        self._changes = folder / "changes.json"
        self._changes.write_text(json.dumps(changes))
        self.bootstrap = f"localhost:{self._ports['KAFKA_PORT']}"

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose`; what it printed, both ways."""
        command = ["docker", "compose", "-p", self._name, "-f", str(ROOT / "docker-compose.yml")]
        environ = {"IMAGE": "headrace:compose-test", **os.environ, **{k: str(v) for k, v in self._ports.items()}}
        done = subprocess.run(
            [*command, "-f", str(self._changes), *arguments],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{' '.join(arguments)}:\n{done.stdout}"
        return done.stdout

    def up(self, *services: str) -> None:
        """Start and wait until all that has a health check is healthy.

        Compose gives up at the first process that ends, on a starved machine for a broker that is slow to answer;
        Docker starts it again, so we ask again. The image is built first: one of an earlier run may be there.
        """
        self.compose("build", "topics")
        for _ in range(UP_AGAIN):
            if "dependency failed to start" not in self.compose("up", "-d", "--wait", *services, check=False):
                break
        self.compose("up", "-d", "--wait", *services)

    def down(self) -> None:
        """Remove all of it, data too."""
        self.compose("down", "-v", "--remove-orphans", "-t", "2", check=False)

    def crash(self, service: str) -> None:
        """End the service's process as a crash would. `docker kill` is a wish, after which nothing starts again."""
        self.compose("exec", "-T", service, "sh", "-c", "kill -9 -1", check=False)

    def logs(self) -> str:
        """What each service said last, and in which state it is."""
        return self.compose("ps", "-a", check=False) + self.compose(
            "logs", "--no-color", "--tail", str(LOG_LINES), check=False
        )

    def restarts(self, service: str) -> int:
        """How often Docker has started it again by itself."""
        container = self.compose("ps", "-a", "-q", service).strip()
        return int(_output(["docker", "inspect", "--format", "{{.RestartCount}}", container]))

    def url(self, variable: str, path: str) -> str:
        """Where a published port answers."""
        return f"http://127.0.0.1:{self._ports[variable]}{path}"

    def ask(self, variable: str, path: str) -> Any:
        """The JSON that a published port answers with; raises OSError when it does not, or not with 200."""
        with urllib.request.urlopen(self.url(variable, path), timeout=ANSWER_S_MAX) as answer:
            return json.load(answer)

    def good(self, variable: str, path: str) -> bool:
        """Whether it answers with 200 now, to a browser: one that keeps cookies and follows where it is sent."""
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(self.url(variable, path), timeout=ANSWER_S_MAX) as answer:
            return bool(answer.status == 200)


def docker_problem() -> str:
    """Why there is no Docker with Compose here; empty where there is."""
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        try:
            _output(command)
        except (OSError, subprocess.SubprocessError) as error:
            return f"{' '.join(command)}: {error}"
    return ""


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
