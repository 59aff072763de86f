"""The tables about what rows tell beside their score, and about answers that are used again."""

from typing import Annotated

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from pipeline.config.sections import Section


class OverrideSection(Section):
    """`[[overrides]]`: a decision that something known of a row overrules; of several that hold the first decides."""

    feature: StrictStr
    """What is looked at: a feature, a measure of the image, or a feature of outcome state."""
    below: StrictFloat | None = None
    """It holds below this number."""
    above: StrictFloat | None = None
    """It holds above this number; one of the two is given."""
    decision: StrictStr
    """One of `decide.labels`."""
    reason: Annotated[StrictStr, Field(pattern=r"^[a-z0-9_]{1,50}$")]
    """Its name among the reasons of a decision, with the number that was found."""

    @model_validator(mode="after")
    def _one_limit(self) -> "OverrideSection":
        if (self.below is None) == (self.above is None):
            raise ValueError(f"{self.reason}: expected either below or above")
        return self


class ReuseSection(Section):
    """`[reuse]`: answers that models gave before, used again for frames and feature rows that come again."""

    exact_rows: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = 0
    """How many frames, or feature rows of each tier's model, are remembered by their bytes; 0: none. The answer is
    what the model told of the very same."""
    near_bits: Annotated[StrictInt, Field(ge=-1, le=32)] = -1
    """In how many of 64 bits the perceptual hash of a frame may differ from a late one of its camera, to be given
    that one's answer; -1: never. A scratch need not change a bit: it takes a report of how often that was wrong."""
    near_rows: Annotated[StrictInt, Field(ge=1, le=1024)] = 16
    """How many late frames of each camera are looked at."""
    near_report: StrictStr = ""
    """What `headrace models reuse` measured with this model (relative to the configuration file)."""
    near_false_max: Annotated[StrictFloat, Field(gt=0.0, le=1.0)] = 0.001
    """The share of such answers that may be wrong, with 95 % confidence by the report; above it the process does not
    start."""
    age_ms_max: Annotated[StrictInt, Field(ge=1)] = 60_000
    """How long an answer may be used again."""

    @model_validator(mode="after")
    def _measured(self) -> "ReuseSection":
        if self.near_bits >= 0 and not self.near_report:
            raise ValueError(
                "near_bits: a like picture may show another part, expected near_report with the measured rate of "
                "false reuse (headrace models reuse)"
            )
        return self
