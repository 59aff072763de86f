"""The table about when a process counts as alive."""

from typing import Annotated

from pydantic import Field, StrictInt

from pipeline.config.sections import Section

Seconds = Annotated[StrictInt, Field(ge=1)]


class HealthSection(Section):
    """`[health]`: what `/healthz` takes for dead; an orchestrator then starts the process again."""

    loop_s_max: Seconds = 60
    """How long one turn of the loop may take, questions to the cluster included (`engine.request_ms_max` each)."""
    progress_s_max: Seconds = 120
    """How long a partition that is being decided may stand still while it has lag and the cluster can be reached."""
