"""The tables of a pipeline's TOML file, one frozen model each. What a key means stands beside it, once."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

Ms = Annotated[StrictInt, Field(ge=0)]
"""A whole number of milliseconds."""
Rows = Annotated[StrictInt, Field(ge=1)]
Bytes = Annotated[StrictInt, Field(ge=1)]
TopicName = Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]

GiB = 1 << 30


class Section(BaseModel):
    """A table of the file: unknown keys are errors, nothing changes once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PipelineSection(Section):
    """`[pipeline]`: what this pipeline is and how long an event may take."""

    name: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9._-]{1,100}$")]
    """In every decision and metric."""
    budget_ms: Annotated[Ms, Field(ge=1)] = 100
    """How long an event may take that names no deadline of its own, from the record's timestamp."""
    budget_ms_max: Annotated[Ms, Field(ge=1)] = 10_000
    """The longest deadline an event may ask for, from its arrival."""
    deadline_header: StrictStr = ""
    """The record header that holds an event's own deadline as an RFC 3339 time, e.g. `ce_expirytime`. Unset: none."""
    objective: Literal["latency", "cost"] = "latency"
    """`latency`: an idle session never waits for company. `cost`: it waits for the batch that costs least a row, as
    long as deadlines allow."""
    mode: Literal["live", "replay"] = "live"
    """`replay` merges partitions and topics by event time up to the end found at its start; no deadlines."""
    coalesce: StrictBool = False
    """Under overload, of the events of a key that wait only the newest is scored; the others expire at once. For what
    is looked at again and again, such as a camera's scene."""
    future_ms_max: Ms = 86_400_000
    """An event dated further ahead of its record's timestamp is refused: it would make all others late."""

    @model_validator(mode="after")
    def _ordered(self) -> "PipelineSection":
        if self.budget_ms > self.budget_ms_max:
            raise ValueError(f"budget_ms {self.budget_ms} is above budget_ms_max {self.budget_ms_max}")
        return self


class TopicsSection(Section):
    """`[topics]`: where outcomes and metrics go."""

    decisions: TopicName = "decisions"
    """One record an event that asks for a decision."""
    dead_letters: TopicName = "dead-letters"
    """Records that could not become an event, untouched, with the reason in headers."""
    metrics: TopicName = "metrics"
    """One record a process and `engine.metrics_ms`."""
    quality: TopicName = "quality"
    """What `headrace quality` tells of each period; it makes the topic."""
    rollouts: TopicName = "rollouts"
    """Which version answers in which tier: compacted, followed by every process (where `rollout.enabled`)."""
    audit: TopicName = "audit"
    """What served when, and who asked for it: only ever added to (where `rollout.enabled`)."""

    @model_validator(mode="after")
    def _distinct(self) -> "TopicsSection":
        if len({self.decisions, self.dead_letters, self.metrics, self.quality}) < 4:
            raise ValueError("decisions, dead_letters, metrics and quality need a topic each")
        return self


class ModelsSection(Section):
    """`[models]`: where models are looked up."""

    folder: StrictStr | None = None
    """A model repository; relative to the configuration file. Unset: the models that are shipped."""


class StateSection(Section):
    """`[tiers.state]`: what a model with state remembers of each key; needed only to say how many there are."""

    key: StrictStr = ""
    """The topic's key, so that the state moves with its partition. Unset: that."""
    keys_expected: Rows = 1024
    """How many keys a partition has: the table for them is made so large at once."""


class TierSection(Section):
    """`[[tiers]]`: a way to score, best first."""

    name: Annotated[StrictStr, Field(pattern=r"^[a-z0-9_-]{1,50}$")]
    """In decisions and metrics; `primary` for the first, by custom."""
    model: StrictStr = ""
    """The model's folder in the repository."""
    rule: StrictStr = ""
    """Instead of a model, for the last tier: a score by arithmetic on features, e.g. `min(1, amount / 500)`."""
    version: StrictStr = "1"
    """The folder in the model's folder."""
    providers: Annotated[tuple[StrictStr, ...], Field(min_length=1)] = ("CPUExecutionProvider",)
    """ONNX Runtime's names. What is asked for is what runs, or the process does not start."""
    thresholds: tuple[StrictFloat, ...] | None = None
    """This tier's own, where its scores lie on another scale than `decide.thresholds`."""
    state: StateSection | None = None
    """Of a model with state alone."""

    @model_validator(mode="after")
    def _one_way(self) -> "TierSection":
        if bool(self.model) == bool(self.rule):
            raise ValueError(
                f"tier {self.name}: expected either model or rule, found {'both' if self.model else 'none'}"
            )
        return self


class DecideSection(Section):
    """`[decide]`: from score to decision."""

    labels: Annotated[tuple[StrictStr, ...], Field(min_length=1)]
    """Decisions, from the lowest scores to the highest."""
    thresholds: tuple[StrictFloat, ...] = ()
    """The score at which each next label begins: one less than labels, rising."""
    classes: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    """Instead of thresholds, for an image classifier: the decision for each of its classes, the most likely one
    deciding. A rule, which knows no class, then decides the fallback."""
    sure_min: Annotated[StrictFloat, Field(ge=0.0, le=1.0)] = 0.0
    """With `classes`: an image whose most likely class is less probable gets the fallback."""
    fallback: StrictStr
    """The decision of an event whose deadline passed before it was scored."""

    @model_validator(mode="after")
    def _consistent(self) -> "DecideSection":
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels: {', '.join(self.labels)} has a label twice")
        if self.classes:
            self._decides_by_class()
        elif self.sure_min:
            raise ValueError("sure_min: goes with `classes` alone")
        elif len(self.thresholds) != len(self.labels) - 1:
            raise ValueError(
                f"thresholds: {len(self.labels)} labels need {len(self.labels) - 1} thresholds between them, "
                f"found {len(self.thresholds)}"
            )
        if any(low >= high for low, high in pairwise(self.thresholds)):
            raise ValueError(f"thresholds: expected rising numbers, found {list(self.thresholds)}")
        if self.fallback not in self.labels:
            raise ValueError(f"fallback: {self.fallback!r} is none of the labels {', '.join(self.labels)}")
        return self

    def _decides_by_class(self) -> None:
        if self.thresholds:
            raise ValueError("classes: found beside thresholds, expected one of the two")
        for name, label in self.classes.items():
            if label not in self.labels:
                raise ValueError(f"classes: {name}: {label!r} is none of the labels {', '.join(self.labels)}")


class PublishSection(Section):
    """`[publish]`: what a decision carries beside the decision."""

    features: StrictBool = False
    """The feature values, exact."""


class CheckpointSection(Section):
    """`[checkpoint]`: feature state that outlives its process."""

    url: StrictStr = ""
    """A folder (relative to the configuration file) or a URL that fsspec opens, shared by all processes of the group.
    Unset: windows are rebuilt from what the topics hold."""
    interval_ms: Annotated[Ms, Field(ge=100)] = 30_000
    """How often each partition's windows are written: what is read again after a crash."""
    keep: Annotated[StrictInt, Field(ge=1)] = 3
    """How many checkpoints of each partition are kept."""
    restore_s_max: Annotated[StrictInt, Field(ge=1)] = 600
    """How long windows may take to be whole after an assignment, before the process gives up."""
    on_lost: Literal["stop", "rebuild", "start-fresh"] = "stop"
    """When records that are needed were deleted from their topic: `stop` says which; `rebuild` goes on with windows
    from the oldest record kept; `start-fresh` with empty windows of the partition's own entities."""


class DeliverySection(Section):
    """`[delivery]`: what is promised of outcomes when a process dies or partitions move."""

    guarantee: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """`at_least_once`: after a crash some outcomes are published again, with the same `source`. `exactly_once`:
    outcomes and offsets commit together, in a transaction every `engine.commit_ms`; needs for each process a
    `kafka."group.instance.id"` of its own, and readers with `isolation.level=read_committed`."""


class EngineSection(Section):
    """`[engine]`: sizes and intervals; the defaults are measured ones."""

    poll_rows_max: Rows = 2048
    """Records taken from the lanes in one turn of the loop."""
    poll_interval_us: Annotated[StrictInt, Field(ge=0, le=100_000)] = 5000
    """The least time from one turn of the loop to the next while little arrives: fewer, fuller turns. A tenth of
    `pipeline.budget_ms` at most."""
    rows_max: Rows = 32_768
    """Events in flight, from poll to delivery."""
    buckets: Annotated[tuple[Rows, ...], Field(min_length=1)] = (1, 8, 32, 64, 128, 256, 512)
    """Batch sizes that sessions are warmed with; the last is the largest batch."""
    session: Literal["inline", "thread"] = "inline"
    """`thread` lets a slow model overlap decode and encode."""
    sessions: Annotated[StrictInt, Field(ge=1, le=64)] = 1
    """Batches in flight at once; more than one needs `session = "thread"`."""
    commit_ms: Annotated[Ms, Field(ge=1)] = 100
    """How often offsets, and with `exactly_once` outcomes with them, are committed."""
    drain_ms_max: Ms = 500
    """How long partitions that are revoked may take to finish, and the process at its end."""
    request_ms_max: Annotated[Ms, Field(ge=1)] = 10_000
    """How long a question to the cluster may take: metadata, watermarks, committed offsets."""
    metrics_ms: Annotated[Ms, Field(ge=1)] = 1000
    """How often a metrics record is published."""
    value_bytes_max: Bytes = 1 << 20
    """A larger value is a dead letter."""
    memory_bytes_max: Bytes = 8 * GiB
    """The most that the windows of all entities and partitions may take together, in a process."""

    @model_validator(mode="after")
    def _consistent(self) -> "EngineSection":
        if any(low >= high for low, high in pairwise(self.buckets)):
            raise ValueError(f"buckets: expected rising sizes, found {list(self.buckets)}")
        if self.sessions > 1 and self.session == "inline":
            raise ValueError(f'sessions: expected 1 with session = "inline", found {self.sessions}')
        if self.rows_max < 2 * self.poll_rows_max:
            raise ValueError(
                f"rows_max: expected at least twice poll_rows_max ({self.poll_rows_max}), found {self.rows_max}"
            )
        return self
