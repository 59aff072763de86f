"""What a user declares of outcome state: what the scores of an entity's rows, and their measures, say over time."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.duration import DurationMs

SCORE = "score"
"""The field that every scored row has; the others are the measures of an image."""
ROWS_MAX = 65_536


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutcomeFeature(_Declared):
    """One number kept over the scored rows of an entity.

    `rate`: the share of rows whose `field` is `at_least` so much, of the last `rows` rows or of a `span` (in panes of
    a 60th of it). `drift`: how far the mean of the last few `rows` (exponentially weighted) lies from what is usual,
    as a share of that: -0.5 is half of it. What is usual follows with `half_life`; before `rows` it is 0.
    """

    aggregate: Literal["rate", "drift"]
    field: str
    at_least: float | None = None
    rows: int | None = Field(default=None, ge=1, le=ROWS_MAX)
    span: DurationMs | None = None
    half_life: DurationMs | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "OutcomeFeature":
        if self.aggregate == "rate":
            if self.at_least is None:
                raise ValueError('aggregate "rate" needs `at_least`: from which value of the field on a row counts')
            if (self.rows is None) == (self.span is None):
                raise ValueError('aggregate "rate" needs either `rows` or `span`')
            if self.half_life is not None:
                raise ValueError('`half_life` goes with aggregate "drift" alone')
            return self
        if self.rows is None or not self.half_life:
            raise ValueError('aggregate "drift" needs `rows`, of which it takes the mean, and `half_life` above zero')
        if self.at_least is not None or self.span is not None:
            raise ValueError('`at_least` and `span` go with aggregate "rate" alone')
        return self

    @model_validator(mode="after")
    def _span_above_zero(self) -> "OutcomeFeature":
        if self.span == 0:
            raise ValueError("`span`: found 0, expected a duration above zero")
        return self


class OutcomeSpec(_Declared):
    """An entity whose outcomes are watched. Its key is the topic's, so that its state moves with its partition."""

    key: str
    keys_expected: int = Field(default=64, ge=1)
    features: dict[str, OutcomeFeature] = Field(min_length=1)
