"""Several brokers from Maven jars on one machine: what a leader's death, a lost right or a wrong password does."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from pipeline.kafka.broker import JarBroker, default_folder, fetch_jars, free_ports

INSIDE = "PLAINTEXT"
"""The listener that brokers and administrators use."""
SMALL_JAVA = ("-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Several to a machine; the first compiler alone, since no broker of a test lives long enough for the second."""


@dataclass(frozen=True)
class Listener:
    """One more way in: its name, Kafka's name of the protocol, and its own settings.

    `settings` are named as in a properties file, without the `listener.name.<name>.` before them.
    `advertised_port`, where it is given, is what clients are told instead of the port: a proxy's.
    """

    name: str
    protocol: str = "PLAINTEXT"
    settings: Mapping[str, str] = field(default_factory=dict)
    advertised_port: int | None = None


class JarCluster:
    """Brokers that are controllers too, on localhost, with data of their own that is deleted at the end.

    Of three, any one may die: topics have as many replicas as there are brokers, three at most, and of three two must
    have a record before it counts. `settings` are added to every broker's, `format_arguments` to the command that
    prepares its folder (e.g. `--add-scram`). They end with the thread that started them, too (on Linux).
    """

    def __init__(
        self,
        brokers: int = 3,
        *,
        listeners: Sequence[Listener] = (),
        settings: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
        java_options: Sequence[str] = SMALL_JAVA,
        jars: Path | None = None,
    ) -> None:
        jars = jars or fetch_jars(default_folder())
        self.replication = min(3, brokers)
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-cluster-"))
        self._listeners = (Listener(INSIDE), *listeners)
        names = [listener.name for listener in self._listeners]
        ports = iter(free_ports(brokers * (len(names) + 1)))
        self._ports = [{name: next(ports) for name in names} for _ in range(brokers)]
        self._controllers = [next(ports) for _ in range(brokers)]
        self.brokers = [
            JarBroker(
                port=self._ports[number][INSIDE],
                data=self._folder / str(number + 1),
                jars=jars,
                settings=self._properties(number, settings or {}),
                format_arguments=format_arguments,
                java_options=java_options,
            )
            for number in range(brokers)
        ]

    @property
    def bootstrap(self) -> str:
        """The `bootstrap.servers` of all brokers."""
        return self.address(INSIDE)

    def address(self, listener: str) -> str:
        """The `bootstrap.servers` of one listener: where it is advertised."""
        return ",".join(f"127.0.0.1:{self._advertised(number, listener)}" for number in range(len(self.brokers)))

    def port(self, broker_id: int, listener: str = INSIDE) -> int:
        """The port that a listener really has."""
        return self._ports[broker_id - 1][listener]

    def broker(self, broker_id: int) -> JarBroker:
        """One broker by its id as metadata has it, from 1: to kill it and to start it again."""
        return self.brokers[broker_id - 1]

    def _advertised(self, number: int, name: str) -> int:
        listener = next(listener for listener in self._listeners if listener.name == name)
        return listener.advertised_port or self._ports[number][name]

    def _properties(self, number: int, settings: Mapping[str, str]) -> str:
        names = [listener.name for listener in self._listeners]
        ports = {**self._ports[number], "CONTROLLER": self._controllers[number]}
        protocols = {**{listener.name: listener.protocol for listener in self._listeners}, "CONTROLLER": "PLAINTEXT"}
        voters = ",".join(f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(self._controllers))
        replicas, in_sync = str(self.replication), str(max(1, self.replication - 1))
        merged = {
            "process.roles": "broker,controller",
            "node.id": str(number + 1),
            "controller.quorum.voters": voters,
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
            "advertised.listeners": ",".join(f"{n}://127.0.0.1:{self._advertised(number, n)}" for n in names),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": INSIDE,
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "log.dirs": str(self._folder / str(number + 1) / "logs"),
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            "num.partitions": "4",
            **settings,
        }
        for listener in self._listeners:
            for name, value in listener.settings.items():
                merged[f"listener.name.{listener.name.lower()}.{name}"] = value
        return "".join(f"{name}={value}\n" for name, value in merged.items())

    def start(self) -> None:
        """Start those that do not run and wait until they serve. Raises BrokerError with the end of a log."""
        asleep = [broker for broker in self.brokers if broker.pid is None]
        try:
            for broker in asleep:
                broker.launch()
            for broker in asleep:
                broker.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop all and delete their data. Killed: an orderly end waits for the others, which end as well."""
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(JarBroker.kill, self.brokers))
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "JarCluster":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
