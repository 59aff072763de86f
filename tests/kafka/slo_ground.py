"""What the SLO app is tested on: a pipeline's traces on a broker, a server in Alertmanager's place, the process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.telemetry.histogram import bucket_of
from pipeline.wire.alert import AlertRecord, decode_alert
from pipeline.wire.metrics import MetricsRecord

PATIENCE_S = 90.0
STEP_S = 0.1
INSTANCES = ("one", "two", "three")
PARTITIONS = 2
RATE = 30
"""Events a step and instance."""


def until(what: Callable[[], Any], why: str) -> Any:
    """Wait for something to be true; what it was."""
    end_s = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < end_s, why
        time.sleep(0.05)
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Receiver:
    """A real HTTP server in a thread: what was posted to Alertmanager's path, and to a webhook's."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self.hooks: list[AlertRecord] = []
        self.refuses = 0
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        assert self._listening.wait(PATIENCE_S)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)

    def _serve(self) -> None:
        async def start() -> None:
            application = web.Application()
            application.add_routes([web.post("/api/v2/alerts", self._alertmanager), web.post("/hook", self._hook)])
            runner = web.AppRunner(application)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._listening.set()

            self._runner = runner

        self._loop.run_until_complete(start())
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _alertmanager(self, request: web.Request) -> web.Response:
        if self.refuses:
            self.refuses -= 1
            return web.Response(status=503)
        self.alerts += await request.json()
        return web.Response()

    async def _hook(self, request: web.Request) -> web.Response:
        self.hooks.append(decode_alert(await request.read()))
        return web.Response()

    def of(self, slo: str, severity: str) -> list[dict[str, Any]]:
        labels = {"slo": slo, "severity": severity}
        return [alert for alert in self.alerts if labels.items() <= alert["labels"].items()]

    def resolved(self, slo: str, severity: str) -> bool:
        """Whether the last word on an alert is that it ended."""
        posted = self.of(slo, severity)
        return bool(posted) and posted[-1]["annotations"]["summary"].count("no longer") > 0


@dataclass
class Traces:
    """What a pipeline of three processes leaves on a broker: events, commits and metrics, or events alone."""

    bootstrap: str
    suffix: str
    answers: bool = True
    sent: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.names = {"metrics": f"metrics-{self.suffix}", "input": f"transactions-{self.suffix}"}
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in self.names.values()]).values():
            made.result(20)
        self.group = f"headrace-fraud-{self.suffix}"
        settings = {"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "log_level": 0}
        self._producer = Producer(settings)
        self._consumer = Consumer({**settings, "group.id": self.group, "enable.auto.commit": False})
        self._ends = [0] * PARTITIONS
        self._answered = 0
        self.counted = 0

    def __enter__(self) -> "Traces":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        at_ms = now_ms()
        while not self._stop.wait(STEP_S):
            for number in range(RATE * len(INSTANCES)):
                self._producer.produce(self.names["input"], b"{}", partition=number % PARTITIONS)
                self._ends[number % PARTITIONS] += 1
            self._producer.flush(PATIENCE_S)
            self.sent += RATE * len(INSTANCES)
            if self.answers:
                from_ms, at_ms = at_ms, now_ms()
                self._answer(from_ms, at_ms)

    def _answer(self, from_ms: int, to_ms: int) -> None:
        offsets = [TopicPartition(self.names["input"], number, end) for number, end in enumerate(self._ends)]
        self._consumer.commit(offsets=offsets, asynchronous=False)
        late = self.sent - self._answered - RATE * len(INSTANCES)
        self._answered = self.sent
        for number, instance in enumerate(INSTANCES):
            ages = {
                bucket_of(5000 * (number + 1)): RATE,
                **({bucket_of(20_000_000): late} if late and not number else {}),
            }
            count = sum(ages.values())
            record = MetricsRecord(
                pipeline="fraud",
                instance=instance,
                from_ms=from_ms,
                to_ms=to_ms,
                outcomes={"scored": count},
                delivered=count,
                histograms={"age": ages},
            )
            self._producer.produce(self.names["metrics"], record.encode(), instance)
            self.counted += count
        self._producer.flush(PATIENCE_S)


CONFIG = """
[kafka]
"bootstrap.servers" = "{bootstrap}"
[app]
group = "headrace-slo-{suffix}"
evaluate_s = 0.5
[topics]
metrics = "{metrics}"
alerts = "alerts-{suffix}"
state = "slo-state-{suffix}"
[http]
port = {port}
[pipelines.fraud]
group = "{group}"
topics = ["{input}"]
overdue_ms = 1000
[[slos]]
name = "latency"
pipeline = "fraud"
kind = "latency"
threshold_ms = 100
objective = 0.999
[[slos]]
name = "outcomes"
pipeline = "fraud"
kind = "outcomes"
objective = 0.9999
[burn]
time_scale = 120
[alertmanager]
url = "{url}"
repeat_s = 2
[webhook]
url = "{url}/hook"
[silence]
instance_s = 5
stuck_s = 8
"""
"""An hour is half a minute; the shortest window is 2.5 s."""


class App:
    """The process, started by its command line."""

    def __init__(self, folder: Path, traces: Traces, url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self._config = folder / f"slo-{self.port}.toml"
        self.log = folder / f"slo-{self.port}.log"
        names = {"metrics": traces.names["metrics"], "input": traces.names["input"], "group": traces.group}
        text = CONFIG.format(bootstrap=traces.bootstrap, suffix=traces.suffix, port=self.port, url=url, **names)
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "pipeline.cli", "slo", "--config", str(self._config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, stdout=log, env=os.environ)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """However the test ended."""
        if self.running():
            self.kill()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def get(self, path: str) -> str:
        """An answer of its HTTP; empty while there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/api/slo") or "{}"))

    def promise(self, name: str) -> dict[str, Any]:
        return next((slo for slo in self.state().get("slos", ()) if slo["name"] == name), {})

    def on_duty(self) -> bool:
        return self.get("/readyz") == "on duty\n"


def alerts_written(bootstrap: str, topic: str) -> Sequence[AlertRecord]:
    """All of the alerts topic, from its beginning."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "look", "enable.partition.eof": True}
    consumer = Consumer({**settings, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    while (message := consumer.poll(PATIENCE_S)) is not None and message.error() is None:
        assert message.value() is not None
        found.append(decode_alert(message.value() or b""))
    consumer.close()
    return found
