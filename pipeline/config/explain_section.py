"""The table about reasons: for which decisions a model says why, how much of it, and at what price."""

from typing import Annotated

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from pipeline.config.sections import Section


class ExplainSection(Section):
    """`[explain]`: what made the score what it is, in decisions of tree models."""

    decisions: tuple[StrictStr, ...] = ()
    """The labels whose decisions carry reasons, the most important first: where time is short, those of the others
    are skipped first. None: nothing is explained, and it costs nothing."""
    top: Annotated[StrictInt, Field(ge=1, le=16)] = 3
    """How many reasons, the largest first."""
    budget_share: Annotated[StrictFloat, Field(gt=0.0, le=1.0)] = 0.05
    """The share of the loop's time that reasons may take; rows beyond it go without and are counted."""

    @model_validator(mode="after")
    def _each_once(self) -> "ExplainSection":
        if len(set(self.decisions)) < len(self.decisions):
            raise ValueError(f"decisions: {', '.join(self.decisions)} has a label twice")
        return self
