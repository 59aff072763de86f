"""A real Kafka broker from Maven jars: for machines with Java 17 and Maven but no Docker."""

import argparse
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import FrameType, TracebackType

from pipeline.errors import HeadraceError
from pipeline.kafka import with_parent

KAFKA_VERSION = "4.1.1"
JAVA_VERSION_MIN = 17
READY_S_MAX = 60.0
STOP_S_MAX = 20.0
FETCH_S_MAX = 600
CLUSTER_ID = "aGVhZHJhY2UtbG9jYWwtMQ"
PORTS = range(20_000, 32_000)
"""Below those that systems give to outgoing connections: one of these would keep a broker from coming back."""
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.partitions=4
"""


class BrokerError(HeadraceError):
    """The broker cannot be had or did not come up, with what to install or where its log is."""


def default_folder() -> Path:
    """Where jars are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "headrace" / f"kafka-{KAFKA_VERSION}"


def free_ports(count: int) -> list[int]:
    """Different ports of this machine that nobody listens on now."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise BrokerError(f"fewer than {count} ports between {PORTS.start} and {PORTS.stop} are free")


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    return free_ports(1)[0]


def java_problem() -> str | None:
    """Why this machine cannot run the broker; None when it can."""
    if shutil.which("java") is None:
        return f"java is not on the PATH; Java {JAVA_VERSION_MIN} or newer is needed"
    if shutil.which("mvn") is None:
        return "mvn is not on the PATH; Maven is needed to fetch the jars"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_VERSION_MIN:
        return f"java is {said.splitlines()[0] if said else 'silent'}; {JAVA_VERSION_MIN} or newer is needed"
    return None


def fetch_jars(folder: Path) -> Path:
    """The folder of the jars, fetched once. Raises BrokerError with Maven's own last lines."""
    jars = folder / "libs"
    done = folder / "complete"
    if done.exists():
        return jars
    if problem := java_problem():
        raise BrokerError(problem)
    folder.mkdir(parents=True, exist_ok=True)
    pom = folder / "pom.xml"
    pom.write_text(files("pipeline.kafka").joinpath("broker-pom.xml").read_text())
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S_MAX, check=False)
    if ran.returncode:
        raise BrokerError("Maven could not fetch Kafka: " + " ".join((ran.stdout + ran.stderr).split()[-60:]))
    done.touch()
    return jars


def ends_with_us() -> list[str]:
    """What to put before a command so that it does not outlive this thread, even when this process is killed."""
    return [sys.executable, "-I", with_parent.__file__, str(os.getpid())]


class JarBroker:
    """One broker in KRaft mode on localhost; its data is deleted at the end unless a `data` folder is given.

    It ends with the thread that started it, too (on Linux), but then its data stays. `settings` is what it is
    configured with instead of our own, as text of a properties file; its port is `port` then.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        data: Path | None = None,
        jars: Path | None = None,
        settings: str | None = None,
        format_arguments: Sequence[str] = (),
        java_options: Sequence[str] = ("-Xmx1g",),
    ) -> None:
        self._jars = jars or fetch_jars(default_folder())
        self.port = port or free_port()
        self._own = data is None
        self._data = data or Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
        self._data.mkdir(parents=True, exist_ok=True)
        self._settings = self._data / "server.properties"
        self._given_settings = settings
        self._format_arguments = tuple(format_arguments)
        self._java_options = tuple(java_options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The `bootstrap.servers` of this broker."""
        return f"127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """What the broker says."""
        return self._data / "broker.log"

    @property
    def pid(self) -> int | None:
        """The Java process; None while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Format if new, start, wait until it serves. Raises BrokerError with the end of its log."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Format if new and start, without waiting."""
        if not self._settings.exists():
            settings = self._given_settings or _SETTINGS.format(
                port=self.port, controller_port=free_port(), logs=self._data / "logs"
            )
            self._settings.write_text(settings)
            made = ("-t", CLUSTER_ID, "-c", str(self._settings), *self._format_arguments)
            self._java("kafka.tools.StorageTool", "format", *made)
        java = ["java", *self._java_options, "-cp", f"{self._jars}/*", "kafka.Kafka", str(self._settings)]
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [*ends_with_us(), *java], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_until_ready(self) -> None:
        """Wait until what was launched serves. Raises BrokerError with its errors, or the end of its log."""
        until_s = time.monotonic() + READY_S_MAX
        while "Kafka Server started" not in self.log_file.read_text(errors="replace"):
            if self._process is None or self._process.poll() is not None or time.monotonic() > until_s:
                said = self.log_file.read_text(errors="replace")
                errors = "\n".join(line for line in said.splitlines() if " ERROR " in line or "Exception" in line)
                self.close()
                raise BrokerError(f"the broker at {self.bootstrap} did not come up:\n{(errors or said)[-2000:]}")
            time.sleep(0.1)

    def _java(self, *arguments: str) -> None:
        command = ["java", "-cp", f"{self._jars}/*", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=READY_S_MAX, check=False)
        if ran.returncode:
            raise BrokerError(f"{arguments[0]} failed: {(ran.stdout + ran.stderr)[-2000:]}")

    def kill(self) -> None:
        """End it as a crash would; `start` brings it back with its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S_MAX)
            self._process = None

    def close(self) -> None:
        """Stop it and delete its data, if that is its own."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if self._own:
            shutil.rmtree(self._data, ignore_errors=True)

    def __enter__(self) -> "JarBroker":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main() -> int:
    """Run a broker until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9092)
    arguments = parser.parse_args()

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        sys.stderr.write("fetching and starting Kafka; the first time takes a minute\n")
        with JarBroker(port=arguments.port) as broker:
            sys.stderr.write(f"Kafka {KAFKA_VERSION} serves at {broker.bootstrap}; Ctrl-C ends it\n")
            while True:
                time.sleep(3600)
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
