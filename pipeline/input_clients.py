"""The consumers of a pipeline's inputs, and the partitions that these have."""

from pipeline.config.model import PipelineConfig
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake


class InputClients:
    """Opens consumers that ring `wake`; whoever asks for one closes it. Raises KafkaError naming address or topic."""

    def __init__(self, config: PipelineConfig, producer: LaneProducer, wake: Wake) -> None:
        self._config = config
        self._producer = producer
        self._wake = wake

    def partitions(self, topic: str) -> list[TopicPartition]:
        """The topic's partitions, as the cluster has them now."""
        count = self._producer.partition_count(topic, self._config.engine.request_ms_max)
        return [TopicPartition(topic, number) for number in range(count)]

    def of_group(self) -> LaneConsumer:
        """For the deciding input, as a member of the group."""
        return LaneConsumer(self._settings(), self._wake, len(self.partitions(self._config.catalog.decided.topic)))

    def outside(self) -> LaneConsumer:
        """For reading any input outside the group; the end of a partition is told."""
        settings = {**self._settings(), "enable.partition.eof": "true"}
        outside = {name: value for name, value in settings.items() if not name.startswith("group.")}
        partitions = sum(len(self.partitions(spec.topic)) for spec in self._config.inputs.values())
        return LaneConsumer(outside, self._wake, partitions)

    def _settings(self) -> dict[str, str]:
        """An offset that is lost is an error that is named, never a silent jump to either end."""
        return {**self._config.kafka.consumer_settings(), "auto.offset.reset": "error"}
