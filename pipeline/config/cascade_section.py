"""The tables that say which models score which events: a cheap one before the dear one, and routes."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from pipeline.config.sections import Ms, Section

Share = Annotated[StrictFloat, Field(ge=0.0, le=1.0)]


class CascadeSection(Section):
    """`[cascade]`: a cheap model scores every event, those above it in the ladder only what it is unsure of."""

    first: StrictStr = ""
    """The tier that scores every event, below the first in the ladder. Unset: no cascade."""
    sure_below: StrictFloat = 0.0
    """It is sure of a score below this."""
    sure_above: StrictFloat = 1.0
    """It is sure of a score above this."""
    sure_min: StrictFloat | None = None
    """Instead of both, of images: it is sure when its likeliest class is more probable than this."""
    report: StrictStr = ""
    """What `headrace models cascade` found with these models (relative to the configuration file): what the stream is
    held against. Unset: nothing tells when it drifts."""
    objective: Literal["pipeline", "latency", "cost"] = "pipeline"
    """Of the second stage, as `pipeline.objective`: `cost` gathers larger batches, as long as deadlines allow."""
    audit_share: Share = 0.001
    """Of the events that the first model is sure of, the share that the best tier scores too while there is time: how
    often they would have been decided otherwise."""
    watch_rows: Annotated[StrictInt, Field(ge=100)] = 10_000
    """After so many events the share that went on, and how far both models agreed on it, is held against `report`."""
    recalibrate: StrictBool = False
    """Move the thresholds when that share has left its range, so that the calibrated shares are sure again."""
    sure_below_range: tuple[StrictFloat, StrictFloat] | None = None
    """The least and the most that `recalibrate` may make of `sure_below`."""
    sure_above_range: tuple[StrictFloat, StrictFloat] | None = None
    """The same of `sure_above`, or of `sure_min`."""

    @model_validator(mode="after")
    def _whole(self) -> "CascadeSection":
        if not self.first:
            given = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
            if given:
                raise ValueError(f"first: missing beside {', '.join(given)}: expected the tier that scores all")
            return self
        if self.sure_min is not None and (self.sure_below, self.sure_above) != (0.0, 1.0):
            raise ValueError("sure_min: found beside sure_below or sure_above, expected either")
        if self.sure_below > self.sure_above:
            raise ValueError(
                f"sure_below {self.sure_below:g} is above sure_above {self.sure_above:g}: no score would be unsure"
            )
        if self.recalibrate:
            self._movable()
        return self

    def _movable(self) -> None:
        if not self.report:
            raise ValueError("recalibrate: expected a report, which says what share should be sure")
        asked = {"sure_below": self.sure_below, "sure_above": self.sure_above}
        if self.sure_min is not None:
            asked = {"sure_above": self.sure_min}
        for name, at in asked.items():
            limits = getattr(self, f"{name}_range")
            if limits is None or not limits[0] <= at <= limits[1]:
                found = "none" if limits is None else list(limits)
                raise ValueError(f"{name}_range: found {found}, expected two numbers with {at:g} between them")


class RouteSection(Section):
    """`[[routes]]`: events that other tiers or another budget are for; of several that match the first counts."""

    name: Annotated[StrictStr, Field(pattern=r"^[a-z0-9_-]{1,50}$")]
    """In metrics."""
    when: StrictStr = ""
    """What holds of its events: an expression over fields and features, e.g. `amount < 20 and weekend == 1`."""
    field: StrictStr = ""
    """Instead of `when`: a field, one of whose `values` the event has."""
    values: tuple[StrictInt | StrictStr, ...] = ()
    """With `field`: numbers or strings, e.g. customers."""
    tiers: tuple[StrictStr, ...] = ()
    """The ladder of its events, by names of tiers, best first. An answer of its first is `scored`. Unset: the
    pipeline's own, with the cascade."""
    budget_ms: Annotated[Ms, Field(ge=1)] | None = None
    """Instead of `pipeline.budget_ms`, for an event that names no deadline of its own."""

    @model_validator(mode="after")
    def _whole(self) -> "RouteSection":
        if bool(self.when) == bool(self.field) or bool(self.field) != bool(self.values):
            raise ValueError(f"{self.name}: expected either when, or field with values")
        if not self.tiers and self.budget_ms is None:
            raise ValueError(f"{self.name}: expected tiers, budget_ms or both")
        if len(set(self.tiers)) < len(self.tiers):
            raise ValueError(f"{self.name}: tiers: {', '.join(self.tiers)} has a name twice")
        return self
