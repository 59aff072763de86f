"""One of the two configurations, and how it is run apart from everything that its own cluster and folders hold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.http_section import HttpSection
from pipeline.config.kafka_section import KafkaSection
from pipeline.config.load import Loaded
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem, dotted
from pipeline.config.sections import CheckpointSection, DeliverySection, TopicsSection
from pipeline.config.trace_section import TraceSection

METRICS_MS = 200
DRAIN_MS = 5_000
KEPT = ("batch.", "compression.", "fetch.", "linger.", "message.", "queue.", "queued.")
"""Of librdkafka's settings: how it batches. Addresses, groups and secrets are those of another cluster."""
ELSEWHERE = ("kafka", "topics", "http", "health", "trace", "checkpoint", "delivery")
"""Tables about where a pipeline runs, which an evaluation replaces."""


@dataclass(frozen=True)
class Side:
    """`letter` is A or B; `name` and `assignments` are what the command line gave, so that a process can read it."""

    letter: str
    name: str
    assignments: tuple[str, ...]
    loaded: Loaded

    @property
    def config(self) -> PipelineConfig:
        """As its file says."""
        return self.loaded.config

    @property
    def title(self) -> str:
        """What its first tier is answered by, and what was set."""
        first = self.config.tiers[0]
        return " ".join([f"{self.loaded.source.stem}: {first.model}/{first.version}", *told_of(self.assignments)])


def told_of(assignments: Sequence[str]) -> tuple[str, ...]:
    """Those that a report tells: not those about where a pipeline runs, which may hold secrets and change nothing."""
    return tuple(one for one in assignments if one.partition(".")[0].strip() not in ELSEWHERE)


def apart(config: PipelineConfig, letter: str, bootstrap: str, *, replay: bool) -> PipelineConfig:
    """The same decisions on the cluster at `bootstrap`, under output topics of this side's own.

    Nothing of it touches the configured cluster, checkpoints, traces or ports. At least once, whatever it promises.
    """
    given = config.kafka

    def kept(settings: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in settings.items() if name.startswith(KEPT)}

    changed: dict[str, Any] = {
        "pipeline": config.pipeline.model_copy(update={"mode": "replay" if replay else "live"}),
        "kafka": KafkaSection(
            common={**kept(given.common), "bootstrap.servers": bootstrap, "group.id": f"evaluate-{letter}"},
            consumer={**kept(given.consumer), "auto.offset.reset": "earliest"},
            producer={**kept(given.producer), **({"compression.type": "lz4"} if replay else {})},
        ),
        "topics": TopicsSection(
            decisions=f"decisions-{letter}", dead_letters=f"dead-letters-{letter}", metrics=f"metrics-{letter}"
        ),
        "engine": config.engine.model_copy(update={"metrics_ms": METRICS_MS, "drain_ms_max": DRAIN_MS}),
        "delivery": DeliverySection(),
        "checkpoint": CheckpointSection(),
        "http": HttpSection(enabled=False),
        "trace": TraceSection(),
    }
    return PipelineConfig.model_validate(
        {name: getattr(config, name) for name in PipelineConfig.model_fields} | changed
    )


def require_alike(a: PipelineConfig, b: PipelineConfig) -> None:
    """Raise ConfigError unless both decide the same events between the same labels."""
    problems = []
    if a.catalog.deciding_input != b.catalog.deciding_input:
        found = f"A decides {a.catalog.deciding_input}, B decides {b.catalog.deciding_input}"
        raise ConfigError("", [Problem("inputs", f"{found}: expected the same events")])
    for name in sorted(a.inputs.keys() & b.inputs.keys()):
        for part in ("format", "id", "key", "event_time", "known_time", "fields"):
            of_a, of_b = getattr(a.inputs[name], part), getattr(b.inputs[name], part)
            if of_a != of_b:
                found = f"A has {_plain(of_a)}, B has {_plain(of_b)}"
                problems.append(Problem(f"inputs.{name}.{part}", f"{found}: expected the same events"))
    if a.decide.labels != b.decide.labels:
        found = f"A decides {', '.join(a.decide.labels)}, B {', '.join(b.decide.labels)}"
        problems.append(Problem("decide.labels", f"{found}: expected the same labels"))
    if problems:
        raise ConfigError("", problems)


def differing(a: PipelineConfig, b: PipelineConfig) -> list[tuple[str, str, str]]:
    """Each key that has another value in B, with both values; what is about where it runs is left out."""
    of_a, of_b = _flat(a), _flat(b)
    return [
        (key, of_a.get(key, "-"), of_b.get(key, "-"))
        for key in [*of_a, *(key for key in of_b if key not in of_a)]
        if of_a.get(key) != of_b.get(key)
    ]


def _flat(config: PipelineConfig) -> dict[str, str]:
    tables = config.model_dump(mode="json", exclude=set(ELSEWHERE), exclude_defaults=False)
    found: dict[str, str] = {}

    def walk(path: tuple[str | int, ...], value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk((*path, key), inner)
        elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
            for number, inner in enumerate(value):
                walk((*path, inner.get("name", number)), inner)
        elif value is not None:
            found[dotted(path)] = value if isinstance(value, str) else json.dumps(value)

    walk((), tables)
    return found


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {field.type}" for name, field in value.items()) + "}"
    return repr(value)
