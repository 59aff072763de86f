"""A pipeline on a thread, asked over HTTP what it tells of itself, as Prometheus and an orchestrator would."""

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from pipeline.assembly import Sink
from pipeline.config.model import PipelineConfig
from pipeline.service import Summary, run_pipeline

WAIT_S_MAX = 60.0
Answer = tuple[int, str, str]


class Running:
    """Starts at once; `end` drains it."""

    def __init__(self, config: PipelineConfig, on_meter: Sink | None = None) -> None:
        self.stop = threading.Event()
        self.summary: Summary | None = None
        self._url = f"http://127.0.0.1:{config.http.port}"
        self._thread = threading.Thread(target=self._run, args=(config, on_meter))
        self._thread.start()

    def _run(self, config: PipelineConfig, on_meter: Sink | None) -> None:
        self.summary = run_pipeline(config, stop=self.stop, on_meter=on_meter)

    def ask(self, path: str, accept: str = "") -> Answer:
        """Status, content type and body; waits until somebody answers at all."""
        request = urllib.request.Request(self._url + path, headers={"Accept": accept})
        until_s = time.monotonic() + WAIT_S_MAX
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, answer.headers["Content-Type"], answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.headers["Content-Type"], error.read().decode()
            except urllib.error.URLError:
                assert time.monotonic() < until_s
                time.sleep(0.01)

    def wait(self, true: Callable[[], bool]) -> None:
        until_s = time.monotonic() + WAIT_S_MAX
        while not true():
            assert time.monotonic() < until_s
            time.sleep(0.02)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        families = text_string_to_metric_families(self.ask("/metrics")[2])
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def end(self) -> None:
        self.stop.set()
        self._thread.join(WAIT_S_MAX)


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
