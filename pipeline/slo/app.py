"""The Faust app: reads the metrics topic, evaluates by a timer, and is one of a group of which one is on duty.

All metrics have to meet in one place, so the assignor gives every partition to one process; the others stand by and
take over when it is gone. What is known is kept in a compacted topic of the app's own rather than in a Faust table: a
table is changed only while an event is handled, and in an outage there are none; its offsets are committed apart from
its changelog, so that after a crash records would be lost or counted twice; and it is cut up like its topic.
"""

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import faust
from confluent_kafka import KafkaException
from faust.assignor.client_assignment import ClientAssignment
from faust.assignor.partition_assignor import MemberAssignmentMapping, MemberMetadataMapping, PartitionAssignor

from pipeline.config.problems import ConfigError, Problem
from pipeline.kafka.tls import tls_context
from pipeline.slo.config import SloConfig
from pipeline.slo.duty import Duty
from pipeline.slo.keeping import read_snapshot

RESTORE_AGAIN_S = 2.0
SESSION_S = 10.0
"""How long a process that was killed stays on duty before another takes over."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

log = logging.getLogger(__name__)


class OneOnDuty(PartitionAssignor):
    """Gives all partitions to one member: to the one that has them, else to the first by name."""

    def _perform_assignment(self, cluster: Any, member_metadata: MemberMetadataMapping) -> MemberAssignmentMapping:
        had = [
            name for name, member in member_metadata.items() if self._get_client_metadata(member).assignment.actives
        ]
        chosen = min(had or member_metadata)
        assigned = super()._perform_assignment(cluster, {chosen: member_metadata[chosen]})
        clients = {name: self._get_client_metadata(member) for name, member in member_metadata.items()}
        self._update_member_urls(clients)
        nothing = {name: ClientAssignment(actives={}, standbys={}) for name in member_metadata if name != chosen}
        return {**assigned, **self._protocol_assignments(nothing, {}, {}, {})}


class _App(faust.App):
    """Keeps nothing in files, so it makes no folders for them."""

    def _create_directories(self) -> None:
        pass


def faust_app(config: SloConfig, duty: Duty) -> faust.App:
    """The app, not started."""
    app = _App(
        config.app.group,
        broker=[f"kafka://{address.strip()}" for address in config.kafka.bootstrap.split(",")],
        broker_credentials=credentials_of(config.kafka.common),
        PartitionAssignor=OneOnDuty,
        table_standby_replicas=1,  # without it Faust takes no assignor but aiokafka's round robin
        store="memory://",
        datadir=str(Path(tempfile.gettempdir()) / config.app.group),  # Faust makes it, whether it needs it or not
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,  # what no snapshot counts is not acknowledged, and read again by who takes over
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
        broker_rebalance_timeout=SESSION_S,
        key_serializer="raw",
        value_serializer="raw",
    )
    metrics = app.topic(config.topics.metrics, key_type=bytes, value_type=bytes)

    @app.agent(metrics, name=f"{config.app.group}.metrics")
    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            await duty.taken(event.message.partition, event.message.offset, event.message.value, event.ack)

    @app.timer(float(config.app.evaluate_s))  # type: ignore[untyped-decorator]
    async def evaluate() -> None:
        await duty.evaluate()

    async def assigned(_app: faust.App, partitions: Any, **_more: Any) -> None:
        if not any(partition.topic == config.topics.metrics for partition in partitions):
            duty.stand_by()
        elif duty.state in ("joining", "standing by"):
            duty.state = "restoring"
            app.add_future(_restore(config, duty))

    app.on_partitions_assigned.connect(cast(Any, assigned), weak=False)
    return app


async def _restore(config: SloConfig, duty: Duty) -> None:
    while duty.state == "restoring":
        try:
            snapshot = await asyncio.to_thread(read_snapshot, config)
        except KafkaException as error:
            log.warning("windows cannot be read from %s yet: %s", config.topics.state, error.args[0].str())
            await asyncio.sleep(RESTORE_AGAIN_S)
            continue
        except ValueError as error:
            log.error("%s: %s; beginning with empty windows", config.topics.state, error)
            snapshot = None
        if duty.state == "restoring":
            duty.take_over(snapshot)


def credentials_of(settings: Mapping[str, str]) -> Any:
    """librdkafka's security settings as Faust takes them. Raises ConfigError naming what it cannot take."""
    protocol = settings.get("security.protocol", "plaintext").lower()
    context = _ssl_context(settings) if protocol.endswith("ssl") else None
    if protocol in ("plaintext", "ssl"):
        return faust.SSLCredentials(context) if context else None
    mechanism = settings.get("sasl.mechanism", settings.get("sasl.mechanisms", "PLAIN"))
    if mechanism not in MECHANISMS:
        text = f"found {mechanism!r}, expected one of {', '.join(MECHANISMS)}: the SLO app knows no other"
        raise ConfigError("", [Problem('kafka."sasl.mechanism"', text)])
    return faust.SASLCredentials(
        username=settings.get("sasl.username"),
        password=settings.get("sasl.password"),
        mechanism=mechanism,
        ssl_context=context,
    )


def _ssl_context(settings: Mapping[str, str]) -> ssl.SSLContext:
    try:
        return tls_context(settings)
    except OSError as error:
        raise ConfigError("", [Problem("kafka", f"certificates: {error}")]) from None
