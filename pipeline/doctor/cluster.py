"""What the cluster has: topics as the pipeline needs them, offsets that are still there, clocks that agree."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import confluent_kafka.admin
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.cimpl import Producer

from features.duration import in_words
from pipeline.clock import NS_PER_MS
from pipeline.config.model import PipelineConfig
from pipeline.doctor.broker_version import OLDEST_FETCH, fetch_version, kafka_since
from pipeline.doctor.finding import Finding, fail, ok, warn
from pipeline.kafka.transient import AGAIN_S, TRANSIENT

Answer = TypeVar("Answer")
SKEW_MS_MAX = 1_000
NEARLY_DELETED = 0.05
"""Of what a topic holds: a group that stands in its oldest part is about to lose records."""
BATCH_BYTES = 1_000_000
"""librdkafka's default of `batch.size`."""
STAMPED_BY_THE_BROKER = 2
Settings = Mapping[str, str]
_kafka: Any = confluent_kafka.admin


class ClusterLook:
    """One look at a cluster that was reached: `admin` and `described` as `pipeline.cli.cluster.reach` gives them."""

    def __init__(self, config: PipelineConfig, admin: Any, described: Any) -> None:
        self._config = config
        self._admin = admin
        self._described = described
        self._timeout_s = config.engine.request_ms_max / 1000
        self._there = [topic for topic in config.topic_names if topic in described.topics]

    def broker(self) -> Iterator[Finding]:
        """Who answers, and which Kafka it is."""
        brokers = len(self._described.brokers)
        fetch = fetch_version(self._config.kafka.admin_settings(), self._timeout_s)
        version = "of a version that it does not tell" if fetch is None else f"Kafka {kafka_since(fetch)} or newer"
        says = f"{self._config.kafka.bootstrap} answers: {brokers} brokers, {version}"
        if fetch is not None and fetch < OLDEST_FETCH:
            yield warn("broker", says, f"use Kafka {kafka_since(OLDEST_FETCH)} or newer: nothing older was tried")
        else:
            yield ok("broker", says)

    def topics(self) -> Iterator[Finding]:
        """Of each topic whether it is there, whole, and kept safely."""
        for topic in self._config.topic_names:
            if topic not in self._described.topics:
                yield fail(f"topic {topic}", "is not there", "headrace topics create, or the right to see it")
                continue
            yield self._topic(topic)
        yield from self._outputs()

    def _topic(self, topic: str) -> Finding:
        check, partitions = f"topic {topic}", self._described.topics[topic].partitions
        leaderless = [number for number, each in partitions.items() if each.leader < 0]
        if leaderless:
            says = f"partitions {', '.join(map(str, leaderless))} have no leader"
            return fail(check, says, "bring back the brokers that hold them")
        copies = min(len(each.replicas) for each in partitions.values())
        behind = sum(len(each.isrs) < len(each.replicas) for each in partitions.values())
        says = f"{len(partitions)} partitions, {copies} copies"
        if behind:
            return warn(check, f"{says}, {behind} partitions with copies that are behind", "look at the brokers")
        if copies == 1 and len(self._described.brokers) > 1:
            return warn(check, says, "3 copies: with one, a broker that dies takes its partitions along")
        return ok(check, says)

    def _outputs(self) -> Iterator[Finding]:
        names, read = self._config.topics, self._config.catalog.decided.topic
        if read in self._there and names.decisions in self._there:
            inputs, outputs = (len(self._described.topics[name].partitions) for name in (read, names.decisions))
            says = f"{outputs} partitions of {names.decisions} for {inputs} of {read}"
            if outputs < inputs:
                mend = "as many: who reads decisions can then have as many processes as who makes them"
                yield warn("partitions", says, mend)
            else:
                yield ok("partitions", says)

    def settings(self) -> Iterator[Finding]:
        """What the topics are set to, where it breaks what the pipeline promises."""
        try:
            found = {topic: self._settings_of(topic) for topic in self._there}
        except KafkaException as error:
            mend = "the right to describe configurations, or look yourself: min.insync.replicas, retention.ms"
            yield warn("topic settings", f"cannot be read: {error.args[0].str()}", mend)
            return
        findings = [
            finding for topic, settings in found.items() for finding in self._setting_findings(topic, settings)
        ]
        yield from findings
        if not findings:
            yield ok("topic settings", "nothing that breaks what is promised")

    def _settings_of(self, topic: str) -> Settings:
        resource = _kafka.ConfigResource(_kafka.ConfigResource.Type.TOPIC, topic)
        (answer,) = self._admin.describe_configs([resource], request_timeout=self._timeout_s).values()
        return {name: entry.value for name, entry in answer.result(self._timeout_s).items()}

    def _setting_findings(self, topic: str, settings: Settings) -> Iterator[Finding]:
        check, names = f"topic {topic}", self._config.topics
        copies = min(len(each.replicas) for each in self._described.topics[topic].partitions.values())
        in_sync = int(settings.get("min.insync.replicas", 1))
        if copies > 2 and in_sync < 2:
            says = f"min.insync.replicas is {in_sync} of {copies} copies"
            yield warn(check, says, "2: else what was delivered may be gone with one broker")
        if copies > 1 and in_sync >= copies:
            says = f"min.insync.replicas is {in_sync} of {copies} copies"
            yield warn(check, says, "one less than the copies: else one broker that is away stops all writing")
        if topic in (names.decisions, names.dead_letters) and "compact" in settings.get("cleanup.policy", ""):
            yield warn(check, "cleanup.policy compacts it: of a key the last is kept", "delete: each is an outcome")
        size = int(settings.get("max.message.bytes", BATCH_BYTES))
        batch = int(self._config.kafka.producer_settings().get("batch.size", BATCH_BYTES))
        if topic == names.decisions and size < batch:
            says = f"max.message.bytes is {size}, the producer's batches have up to {batch}"
            yield warn(check, says, f'kafka.producer."batch.size" = {size}, or a batch may be refused as a whole')
        yield from self._retention(topic, settings)

    def _retention(self, topic: str, settings: Settings) -> Iterator[Finding]:
        reach_ms = reach_of(self._config)
        kept_ms = int(settings.get("retention.ms", -1))
        read = {spec.topic for spec in self._config.inputs.values()}
        if topic in read and not self._config.checkpoint.url and 0 <= kept_ms < reach_ms:
            says = f"keeps {in_words(kept_ms)}, windows reach back {in_words(reach_ms)}, and there are no checkpoints"
            mend = "set checkpoint.url, or a longer retention.ms: else windows are not whole after a start"
            yield warn(f"topic {topic}", says, mend)

    def offsets(self) -> Iterator[Finding]:
        """Whether the group's committed offsets are still in the topic."""
        topic, group = self._config.catalog.decided.topic, self._config.kafka.common["group.id"]
        if topic not in self._there:
            return
        check = f"offsets of {group}"
        try:
            low, high = self._ends(topic, _kafka.OffsetSpec.earliest()), self._ends(topic, _kafka.OffsetSpec.latest())
            committed = self._committed(group, topic, list(low))
        except KafkaException as error:
            yield fail(check, f"cannot be read: {error.args[0].str()}", "READ on the group, DESCRIBE on the topic")
            return
        lost = {at: offset for at, offset in committed.items() if not low[at] <= offset <= high[at]}
        near = [
            at
            for at, offset in committed.items()
            if at not in lost and offset < high[at] and offset - low[at] < NEARLY_DELETED * (high[at] - low[at])
        ]
        for at, offset in lost.items():
            says = f"{topic}[{at}]: committed at {offset}, the topic holds {low[at]} to {high[at]}"
            yield fail(check, says, "choose once: --set checkpoint.on_lost=rebuild or start-fresh, see operations")
        behind = sum(high[at] - offset for at, offset in committed.items())
        if near and any(low.values()):
            says = f"partitions {', '.join(map(str, near))} of {topic} stand near the oldest record kept"
            yield warn(check, says, f"more processes, or a longer retention.ms: {behind} records wait")
        if not lost:
            new = len(low) - len(committed)
            says = f"{len(committed)} of {len(low)} partitions of {topic} have one"
            yield ok(check, f"{says}, {behind} records wait" + ("" if not new else f"; {new} begin anew"))

    def _again(self, ask: Callable[[], Answer]) -> Answer:
        """What is asked for while leaders or coordinators change is asked for again, within the time limit."""
        until_s = time.monotonic() + self._timeout_s
        while True:
            try:
                return ask()
            except KafkaException as error:
                if error.args[0].name() not in TRANSIENT or time.monotonic() > until_s:
                    raise
                time.sleep(AGAIN_S)

    def _ends(self, topic: str, which: Any) -> dict[int, int]:
        return {number: found.offset for number, found in self._found(topic, which).items()}

    def _found(self, topic: str, which: Any) -> dict[int, Any]:
        """The offset of each partition that `which` means, and its timestamp."""
        asked = {TopicPartition(topic, number): which for number in self._described.topics[topic].partitions}

        def ask() -> dict[int, Any]:
            answers = self._admin.list_offsets(asked, request_timeout=self._timeout_s)
            return {at.partition: answer.result(self._timeout_s) for at, answer in answers.items()}

        return self._again(ask)

    def _committed(self, group: str, topic: str, partitions: list[int]) -> dict[int, int]:
        """By a consumer that never joins: confluent-kafka's admin client crashes while there is no coordinator."""
        consumer = Consumer({**self._config.kafka.admin_settings(), "group.id": group, "log_level": "0"})
        try:
            asked = [TopicPartition(topic, number) for number in partitions]
            found = self._again(lambda: consumer.committed(asked, timeout=self._timeout_s))
        finally:
            consumer.close()
        return {at.partition: at.offset for at in found if at.offset >= 0}

    def clocks(self) -> Iterator[Finding]:
        """Whether the newest record of a topic is from the future, by whoever stamps it: the broker, or producers.

        A clock that is behind cannot be told from records that are old; a probe tells both.
        """
        newest = {}
        try:
            for topic in self._there:
                stamped_ms = self._newest_ms(topic)
                if stamped_ms is not None:
                    newest[topic] = stamped_ms - time.time_ns() // NS_PER_MS
        except KafkaException as error:
            yield warn("clocks", f"cannot be compared: {error.args[0].str()}", "DESCRIBE on the topics")
            return
        ahead = {topic: ms for topic, ms in newest.items() if ms > SKEW_MS_MAX}
        for topic, ms in ahead.items():
            says = f"the newest record of {topic} is stamped {ms / 1000:.1f} s ahead of this machine's clock"
            yield fail("clocks", says, "NTP here, on the brokers and on who produces: deadlines are wrong by it")
        if not ahead:
            looked = ", ".join(newest) or "no topic, all are empty"
            yield ok("clocks", f"no record is from the future, by the newest of {looked}")

    def _newest_ms(self, topic: str) -> int | None:
        stamps = [found.timestamp for found in self._found(topic, _kafka.OffsetSpec.max_timestamp()).values()]
        return max((ms for ms in stamps if ms >= 0), default=None)


def probe(settings: Settings, topic: str, timeout_s: float) -> Finding:
    """Produce one empty record to a topic whose records the broker stamps, and compare its stamp with our clock."""
    stamps: list[tuple[int, int]] = []
    errors: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is not None:
            errors.append(error.str())
        else:
            stamps.append(message.timestamp())

    producer = Producer({**settings, "log_level": "0", "message.timeout.ms": int(timeout_s * 1000)})
    began_ms = time.time_ns() / NS_PER_MS
    producer.produce(topic, None, on_delivery=delivered)
    producer.flush(timeout_s + 1)
    took_ms = time.time_ns() / NS_PER_MS - began_ms
    check = "clock of the broker"
    if not stamps:
        return fail(check, f"{topic}: {', '.join(errors) or 'no answer'}", "a topic that may be written")
    kind, stamp_ms = stamps[0]
    if kind != STAMPED_BY_THE_BROKER:
        return fail(check, f"{topic} keeps the producer's time", "a topic with message.timestamp.type=LogAppendTime")
    skew_ms = stamp_ms - (began_ms + took_ms / 2)
    says = f"{abs(skew_ms):.0f} ms {'ahead of' if skew_ms > 0 else 'behind'} ours, to within {took_ms / 2:.0f} ms"
    if abs(skew_ms) - took_ms / 2 > SKEW_MS_MAX:
        return fail(check, says, "NTP here and on the brokers")
    return ok(check, says)


def reach_of(config: PipelineConfig) -> int:
    """How far back windows reach, in ms: the longest span with its delay."""
    return max(((spec.span or 0) + (spec.delay or 0) for spec in config.features.values()), default=0)
