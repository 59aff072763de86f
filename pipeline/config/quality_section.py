"""The table about quality: what `headrace quality` joins, how long it waits for labels, and how much it keeps."""

from typing import Annotated

from pydantic import Field, StrictInt, model_validator

from features.duration import DurationMs
from pipeline.config.sections import Section


class QualitySection(Section):
    """`[quality]`: `headrace quality` joins decisions with the labels that come for them later."""

    period: DurationMs = 86_400_000
    """The stretch of event time that each report is about, counted from 1970 (UTC)."""
    delay: DurationMs = 604_800_000
    """How long after a period's end a label may come to be known; an event that has none by then was no hit."""
    rows_max: Annotated[StrictInt, Field(ge=1000)] = 5_000_000
    """Decisions and labels, each, that are kept until their period is over, in 40 bytes each; those beyond it are
    left out and counted."""
    one_in: Annotated[StrictInt, Field(ge=1)] = 1
    """Of a stream too large to keep, one in so many events counts, the same ones each time: by a hash of the id."""
    cards: Annotated[StrictInt, Field(ge=1)] = 100
    """How many entities a day's investigators look at: the k of card precision@k."""
    port: Annotated[StrictInt, Field(ge=0, le=65_535)] | None = None
    """Where it serves its `/metrics`, by the host of `[http]`. Unset: the first free one from 9464 to 9479."""

    @model_validator(mode="after")
    def _some(self) -> "QualitySection":
        if self.period < 1000:
            raise ValueError(f"period is {self.period} ms, expected at least a second")
        return self
