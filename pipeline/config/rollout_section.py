"""`[rollout]`: how a new version of a model comes to answer, and what sends it back."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from pipeline.config.sections import Section

Share = Annotated[StrictFloat, Field(gt=0.0, le=1.0)]
Count = Annotated[StrictInt, Field(ge=0)]


class RolloutSection(Section):
    """`[rollout]`: versions beside each other, by `headrace rollout`; see docs/rollout.md."""

    enabled: StrictBool = False
    """Follow the topic `topics.rollouts`, and write `topics.audit`. Off: the configured versions answer, and
    neither topic is needed."""
    steps: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.01, 0.05, 0.25, 1.0)
    """The shares of keys that a candidate answers, one after the other; after the last it is promoted."""
    step_rows_min: Annotated[StrictInt, Field(ge=1)] = 2000
    """So many rows the candidate has answered in one process before that process goes to the next step."""
    step_s_min: Count = 600
    """And so long it has done so."""
    false_alarm: Annotated[StrictFloat, Field(gt=0.0, le=0.1)] = 0.001
    """How often at most, a step, a candidate that is within what is allowed is rolled back by chance."""
    score_ks_max: Annotated[StrictFloat, Field(ge=0.0, lt=1.0)] = 0.1
    """How far the distributions of scores may surely be apart (Kolmogorov and Smirnov's distance)."""
    decision_share_max: Annotated[StrictFloat, Field(ge=0.0, lt=1.0)] = 0.02
    """How far the share of any decision may surely be from the stable version's."""
    cost_ratio_max: Annotated[StrictFloat, Field(gt=1.0)] = 2.0
    """How many times what the stable version takes half of the candidate's runs may take."""
    not_finite_max: Count = 0
    """So many scores may be no finite number; those rows the stable version answers."""
    errors_max: Count = 0
    """So many runs of the candidate's session may fail; those rows the stable version answers."""
    shadow_rows_max: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 8192
    """So many copies of rows wait for a shadow at most; what finds no room is skipped and counted."""
    shadow_run_us_max: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1000
    """How long a shadow's run may be promised to take: what an event that comes meanwhile waits at most."""

    @model_validator(mode="after")
    def _rising(self) -> "RolloutSection":
        if any(low >= high for low, high in pairwise(self.steps)):
            raise ValueError(f"steps: expected rising shares, found {list(self.steps)}")
        return self
