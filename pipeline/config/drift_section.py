"""The table about drift: whether the stream still is what the model was made with."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from features.duration import DurationMs
from pipeline.config.sections import Section


class DriftSection(Section):
    """`[drift]`: features and scores of a sample of rows, against the reference beside the first tier's model."""

    enabled: StrictBool = False
    """Whether rows are looked at; when not, it costs nothing."""
    every_rows: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 101
    """One of so many rows is looked at. A prime number keeps in step with nothing."""
    window: DurationMs = 86_400_000
    """What is held against the reference: the rows of so long a time. A stream that has days and nights needs a whole
    day. Nothing is told before the process has run for so long."""
    panes: Annotated[StrictInt, Field(ge=1, le=1000)] = 24
    """In how many steps the window moves; at each step it is compared."""
    rows_min: Annotated[StrictInt, Field(ge=100)] = 1000
    """Of fewer rows in the window nothing is told: chance alone moves them."""
    psi_max: Annotated[StrictFloat, Field(gt=0.0)] = 0.2
    """The population stability index above which a feature, or the score, has drifted."""
    ks_max: Annotated[StrictFloat, Field(gt=0.0, le=1.0)] = 0.1
    """The Kolmogorov-Smirnov distance above which it has."""

    @model_validator(mode="after")
    def _moves(self) -> "DriftSection":
        if self.window < 1000 * self.panes:
            raise ValueError(
                f"window is {self.window} ms in {self.panes} panes, expected at least a second for each pane"
            )
        return self
