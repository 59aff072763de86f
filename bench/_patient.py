"""The shipped fraud pipeline over a backlog: the budget is an hour, so that it is scored rather than expired."""

import os

from pipeline.config.load import load
from pipeline.config.model import PipelineConfig

HOUR_MS = 3_600_000


def patient(bootstrap: str, group: str, *settings: str) -> PipelineConfig:
    """Only the addresses differ from the shipped defaults, the budget, and what `settings` say."""
    assignments = (
        f"kafka.bootstrap.servers={bootstrap}",
        f"kafka.group.id={group}",
        f"pipeline.budget_ms_max={HOUR_MS}",
        f"pipeline.budget_ms={HOUR_MS}",
        *settings,
    )
    return load("fraud", environ=os.environ, assignments=assignments).config
