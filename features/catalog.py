"""What a user declares: inputs, entities and features. Checked here, before anything is compiled or read."""

import difflib
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.duration import DurationMs
from features.expression import names_in
from features.image import ImageSpec
from features.panes import PANES_MAX, PANES_MIN, pane_width_ms
from features.schema import EventField, Schema


class Aggregate(StrEnum):
    """What a window tells of the events in it."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    STD = "std"
    EWMA = "ewma"
    TIME_SINCE_LAST = "time_since_last"
    RISK = "risk"


NEEDS_FIELD = {Aggregate.SUM, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX, Aggregate.STD, Aggregate.EWMA}
_NUMERIC = ("int", "float", "decimal")
PANED = (Aggregate.COUNT, Aggregate.SUM, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX)
_NOT_PANED = {
    Aggregate.STD: "its sum of squares may leave 64 bits, and rounded it would depend on the order of arrival",
    Aggregate.EWMA: "it weighs each event by the event's own age",
    Aggregate.TIME_SINCE_LAST: "it asks for the time of one event, which a pane does not keep",
    Aggregate.RISK: "the last label of an event wins, so labels are kept by event and at no fixed cost",
}
"""Why an aggregate cannot be told from panes."""


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Declared):
    """A topic that is read. Exactly one input has the role `decide`; the others only feed state.

    Of format `json` a record's value holds the fields; of format `image` its headers do, and its value is an image.
    """

    topic: str
    role: Literal["decide", "state"]
    format: Literal["json", "image"] = "json"
    image: ImageSpec | None = None
    id: str
    key: str
    event_time: str
    known_time: str | None = None
    priority: str | None = None
    fields: dict[str, EventField]

    @model_validator(mode="after")
    def _known_fields(self) -> "InputSpec":
        for role in ("id", "key", "event_time", "known_time", "priority"):
            name = getattr(self, role)
            if name is not None:
                require_name(f"{role}", name, self.fields)
        for role in ("event_time", "known_time"):
            name = getattr(self, role)
            if name is not None and self.fields[name].type != "time":
                raise ValueError(f'{role}: field {name!r} has type "{self.fields[name].type}", expected "time"')
        if self.priority is not None and self.fields[self.priority].type not in _NUMERIC:
            raise ValueError(f"priority: field {self.priority!r} is not a number")
        return self

    @model_validator(mode="after")
    def _image_or_not(self) -> "InputSpec":
        if self.format == "image" and self.image is None:
            raise ValueError('image: missing, format = "image" needs this table with `pixels_max`')
        if self.format == "image" and self.role != "decide":
            raise ValueError(
                f'format: found "image" with role = "{self.role}", expected role = "decide": no image is state'
            )
        if self.format != "image" and self.image is not None:
            raise ValueError(f'image: found this table with format = "{self.format}", expected format = "image"')
        return self

    @property
    def schema_(self) -> Schema:
        """The declared fields as a schema."""
        return Schema(fields=self.fields)

    @property
    def order_time(self) -> str:
        """The field whose time is the event's place in a replay: when it came to be known."""
        return self.known_time or self.event_time


class LabelSpec(_Declared):
    """Where an entity's labels come from: a state input, and the field that says whether it was a hit."""

    input: str
    field: str


class EntitySpec(_Declared):
    """What windows are kept for.

    Every aggregate goes with `lateness`: state is a set in the order of event times, or panes whose contents have no
    order, so what an event finds does not depend on when the others came.
    """

    key: str
    lateness: DurationMs = 0
    order: Literal["event", "arrival"] = "event"
    labels: LabelSpec | None = None
    keys_expected: int = Field(default=1024, ge=1)
    panes: int | None = Field(default=None, ge=PANES_MIN, le=PANES_MAX, strict=True)


class FeatureSpec(_Declared):
    """One model input: an expression over the event, a function of it, or a window over an entity."""

    expression: str | None = None
    call: str | None = None
    arguments: tuple[str, ...] = ()
    entity: str | None = None
    aggregate: Aggregate | None = None
    field: str | None = None
    span: DurationMs | None = None
    delay: DurationMs = 0
    half_life: DurationMs | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "FeatureSpec":
        kinds = [self.expression is not None, self.call is not None, self.entity is not None]
        if sum(kinds) != 1:
            raise ValueError("expected exactly one of `expression`, `call` and `entity`")
        if self.entity is None:
            if self.aggregate or self.field or self.span or self.delay or self.half_life:
                raise ValueError("`aggregate`, `field`, `span`, `delay` and `half_life` need an `entity`")
            return self
        if self.aggregate is None:
            raise ValueError("a window over an entity needs an `aggregate`")
        if not self.span:
            raise ValueError("a window needs a `span` above zero")
        if (self.field is not None) != (self.aggregate in NEEDS_FIELD):
            needs = "needs" if self.aggregate in NEEDS_FIELD else "takes no"
            raise ValueError(f'aggregate "{self.aggregate}" {needs} `field`')
        if (self.half_life is not None) != (self.aggregate == Aggregate.EWMA):
            raise ValueError('`half_life` goes with aggregate "ewma" alone, and there it is needed')
        return self


class Catalog(_Declared):
    """All of it, checked against each other."""

    inputs: dict[str, InputSpec]
    entities: dict[str, EntitySpec] = {}
    features: dict[str, FeatureSpec] = {}

    @model_validator(mode="after")
    def _consistent(self) -> "Catalog":
        deciding = [name for name, spec in self.inputs.items() if spec.role == "decide"]
        if len(deciding) != 1:
            raise ValueError(f'inputs: expected one with role = "decide", found {len(deciding)}')
        if not self.features and self.decided.format == "json":
            raise ValueError("features: found none, expected one at least: a model scores nothing else")
        for name, entity in self.entities.items():
            self._check_entity(name, entity)
        for name, feature in self.features.items():
            self._check_feature(name, feature)
        for name, entity in self.entities.items():
            if entity.panes is not None:
                self._check_panes(name, entity, entity.panes)
        return self

    def _check_entity(self, name: str, entity: EntitySpec) -> None:
        require_name(f"entities.{name}.key", entity.key, self.decided.fields)
        require_present(f"entities.{name}.key", entity.key, self.decided.fields)
        if entity.labels is not None:
            where = f"entities.{name}.labels"
            if entity.key == self.decided.key:
                raise ValueError(
                    f"{where}: found labels on an entity whose key, {entity.key!r}, is the key of topic "
                    f"{self.decided.topic!r} itself, expected an entity with another key: such an entity's state "
                    f"moves with its partition, and the partitions of labels do not move along"
                )
            require_name(f"{where}.input", entity.labels.input, self.inputs)
            source = self.inputs[entity.labels.input]
            require_name(f"{where}.field", entity.labels.field, source.fields)
            require_name(f"{where}: input {entity.labels.input!r}", entity.key, source.fields)
            for needed in (entity.key, source.id, source.event_time, entity.labels.field):
                require_present(f"{where}: input {entity.labels.input!r}", needed, source.fields)
            if source.fields[entity.labels.field].type != "bool":
                raise ValueError(f"{where}.field: {entity.labels.field!r} is not a bool")

    def _check_feature(self, name: str, feature: FeatureSpec) -> None:
        where, fields = f"features.{name}", self.decided.fields
        if feature.expression is not None:
            for used in names_in(where, feature.expression):
                require_name(where, used, fields)
        for argument in feature.arguments:
            require_name(f"{where}.arguments", argument, fields)
        if feature.entity is None:
            return
        require_name(f"{where}.entity", feature.entity, self.entities)
        entity = self.entities[feature.entity]
        if feature.field is not None:
            require_name(f"{where}.field", feature.field, fields)
            require_present(f"{where}.field", feature.field, fields)
            if fields[feature.field].type not in _NUMERIC:
                raise ValueError(f"{where}.field: {feature.field!r} is not a number")
        if entity.panes is not None:
            self._check_paned(where, feature)
        if feature.aggregate == Aggregate.RISK and entity.labels is None:
            raise ValueError(f'{where}: aggregate "risk" needs `labels` on entity {feature.entity!r}')
        if entity.key != self.decided.key and not feature.delay and entity.order != "arrival":
            raise ValueError(
                f"{where}: entity {feature.entity!r} is not the topic's key, so other partitions feed it and a "
                f'window without `delay` sees what has arrived by then. Give it a delay, or write order = "arrival" '
                f"on the entity to accept that."
            )

    def _check_paned(self, where: str, feature: FeatureSpec) -> None:
        over = f"over entity {feature.entity!r}, which has panes"
        if feature.aggregate in _NOT_PANED:
            raise ValueError(
                f'{where}.aggregate: found "{feature.aggregate}" {over}, expected one of {", ".join(PANED)}: '
                f"{_NOT_PANED[feature.aggregate]}"
            )
        summed = feature.field is not None and feature.aggregate in (Aggregate.SUM, Aggregate.MEAN)
        if summed and self.decided.fields[feature.field or ""].type == "float":
            raise ValueError(
                f'{where}.field: found {feature.field!r} of type "float" in a "{feature.aggregate}" {over}, expected '
                f'an "int" or a "decimal": a sum of floats would depend on the order of arrival'
            )

    def _check_panes(self, name: str, entity: EntitySpec, panes: int) -> None:
        where, windows = f"entities.{name}.panes", self.windows_over(name).values()
        if entity.labels is not None:
            raise ValueError(
                f"{where}: found {panes} beside `labels`, expected one of the two: {_NOT_PANED[Aggregate.RISK]}"
            )
        pane_width_ms(where, panes, [(window.span or 0, window.delay) for window in windows])

    def windows_over(self, entity: str) -> dict[str, FeatureSpec]:
        """The features that are windows over an entity, by name."""
        return {name: feature for name, feature in self.features.items() if feature.entity == entity}

    @property
    def deciding_input(self) -> str:
        """The name of the input whose events get decisions."""
        return next(name for name, spec in self.inputs.items() if spec.role == "decide")

    @property
    def decided(self) -> InputSpec:
        """The input whose events get decisions."""
        return self.inputs[self.deciding_input]


def require_present(where: str, name: str, fields: dict[str, EventField]) -> None:
    """Raise ValueError when an event may come without the field: no state can be kept for what is absent."""
    if not fields[name].required:
        raise ValueError(f"{where}: field {name!r} has required = false, expected a field that every event has")


def require_name(where: str, name: str, known: object) -> None:
    """Raise ValueError with the nearest known names when `name` is not one of them."""
    names = list(known)  # type: ignore[call-overload]
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"
    raise ValueError(f"{where}: {name!r} is not declared{hint}")
