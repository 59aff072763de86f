"""`[kafka]`: librdkafka's own settings under librdkafka's own dotted names."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from pipeline.config.sections import Section


def _text(value: Any) -> str:
    """A setting as librdkafka takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"found {value!r}, expected a string, a number, true or false")


Settings = dict[str, Annotated[str, BeforeValidator(_text)]]
INSTANCE_ID = "group.instance.id"
TRANSACTION_TIMEOUT = "transaction.timeout.ms"
TRANSACTION_TIMEOUT_MS = 10_000
REQUIRED = ("bootstrap.servers", "group.id")
OURS = {
    "enable.auto.commit": "offsets are committed when outcomes are delivered, never by a timer",
    "enable.auto.offset.store": "offsets are committed when outcomes are delivered, never when they are read",
    "transactional.id": f'it is made of "group.id" and "{INSTANCE_ID}" when delivery.guarantee is exactly_once: '
    "who takes over a name then ends what the process before left open",
}
"""Settings that would break what the engine promises, and why."""


class KafkaSection(Section):
    """Settings for both clients, and for one of them in `[kafka.consumer]` and `[kafka.producer]`.

    The names are checked by librdkafka itself when a client is made (`headrace config check` does that too).
    """

    common: Settings
    consumer: Settings = Field(default_factory=dict)
    producer: Settings = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, table: Any) -> Any:
        if not isinstance(table, dict) or "common" in table:
            return table
        clients = {name: table[name] for name in ("consumer", "producer") if name in table}
        return {"common": {k: v for k, v in table.items() if k not in clients}, **clients}

    @model_validator(mode="after")
    def _usable(self) -> "KafkaSection":
        for name in REQUIRED:
            if not self.common.get(name):
                raise ValueError(f'"{name}" is missing')
        for table in (self.common, self.consumer, self.producer):
            for name, why in OURS.items():
                if name in table:
                    raise ValueError(f'"{name}" cannot be set: {why}')
        return self

    @property
    def bootstrap(self) -> str:
        """The addresses of brokers."""
        return self.common["bootstrap.servers"]

    @property
    def instance_id(self) -> str:
        """The stable name of this process in its group; empty where it has none."""
        return self.consumer_settings().get(INSTANCE_ID, "")

    @property
    def transactional_id(self) -> str:
        """What tells this process's transactions from all others': the group's name and its own in it."""
        return f"{self.common['group.id']}-{self.instance_id}"

    @property
    def transaction_timeout_ms(self) -> int:
        """How long a transaction may be open: what a process that died left open holds others up for as long."""
        given = self.producer_settings().get(TRANSACTION_TIMEOUT, str(TRANSACTION_TIMEOUT_MS))
        if not given.isdigit():
            raise ValueError(f'kafka: "{TRANSACTION_TIMEOUT}": found {given!r}, expected a whole number of ms')
        return int(given)

    def consumer_settings(self) -> dict[str, str]:
        """What the consumer is made with."""
        return {**self.common, **self.consumer}

    def producer_settings(self) -> dict[str, str]:
        """What the producer is made with."""
        return {**self.admin_settings(), **self.producer}

    def plain_producer_settings(self) -> dict[str, str]:
        """The same without what only transactions need."""
        return {name: value for name, value in self.producer_settings().items() if name != TRANSACTION_TIMEOUT}

    def admin_settings(self) -> dict[str, str]:
        """What admin requests and tools are made with: the settings for both clients, without the group's."""
        return {name: value for name, value in self.common.items() if not name.startswith("group.")}
