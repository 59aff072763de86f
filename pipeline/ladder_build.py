"""The ladders of a cascade and of routes, and what looks at their answers, as a configuration asks for them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.cascade import Thresholds
from models.repository import ModelEntry, Repository
from pipeline.answers import Answers
from pipeline.batch import Batch, Batching, Ladder
from pipeline.batcher import Batcher, Objective
from pipeline.cascade import Cascade
from pipeline.cascade_report import check_report
from pipeline.cascade_watch import CascadeWatch, Moves
from pipeline.config.model import PipelineConfig
from pipeline.ladders import KEEP, Ladders
from pipeline.rows import Rows
from pipeline.servings import Servings
from pipeline.standing import Standing
from pipeline.tier import ModelTier, Tier

ENTRY = 0
"""The ladder of rows that no route leads elsewhere."""


def entry_ladders(config: PipelineConfig) -> tuple[list[Ladder], list[int]]:
    """The ladders that rows enter, and the number of each route's, that of rows without a route first."""
    names = [tier.name for tier in config.tiers]
    lowest = names.index(config.cascade.first) if config.cascade.first else 0
    own = tuple(range(lowest, len(names)))
    tiers = [own]
    by_route = [ENTRY]
    for route in config.routes:
        asked = tuple(names.index(name) for name in route.tiers) if route.tiers else own
        if route.tiers and (asked not in tiers[1:]):
            tiers.append(asked)
        by_route.append(tiers.index(asked, 1) if route.tiers else ENTRY)
    return [Ladder(number, each) for number, each in enumerate(tiers)], by_route


def second_ladder(config: PipelineConfig) -> Ladder | None:
    """The tiers above a cascade's first model, then what keeps the score that a row has."""
    if not config.cascade.first:
        return None
    place = [tier.name for tier in config.tiers].index(config.cascade.first)
    return Ladder(len(entry_ladders(config)[0]), (*range(place), KEEP))


def ladders_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier]) -> Ladders:
    """Batchers over the rows' own deadlines, priorities and routes, sharing the sessions."""
    running: list[Batch] = []
    entries, by_route = entry_ladders(config)
    second, asked = second_ladder(config), config.cascade.objective
    own = config.pipeline.objective

    def batcher_on(ladder: Ladder, objective: Objective) -> Batcher:
        at = [tiers[number] if number != KEEP else None for number in ladder.tiers]
        return Batcher(
            rows.deadline_ns,
            rows.priority,
            [tier.cost if isinstance(tier, ModelTier) else None for tier in at],
            config.engine.buckets,
            sessions=config.engine.sessions,
            objective=objective,
            deadlines=config.pipeline.mode == "live",
            ladder=ladder,
            running=running,
        )

    return Ladders(
        [batcher_on(ladder, own) for ladder in entries],
        None if second is None else batcher_on(second, own if asked == "pipeline" else asked),
        running,
        by_route,
        rows.route,
        rows.deadline_ns,
    )


def answers_of(
    config: PipelineConfig,
    rows: Rows,
    tiers: Sequence[Tier],
    servings: Servings,
    batcher: Batching,
    decide: Callable[[NDArray[np.int32]], None],
) -> Answers | None:
    """What looks at answers, None where there is one ladder. Raises ConfigError where the report does not fit."""
    if not isinstance(batcher, Ladders):
        return None
    entries, _ = entry_ladders(config)
    second = second_ladder(config)
    asked = {
        ladder.number: (ladder.tiers[0], Standing(servings, ladder.tiers[0], tiers[ladder.tiers[0]].name))
        for ladder in entries[1:]
        if ladder.tiers[0] > 0
    }
    if second is None:
        return Answers(rows, asked)
    cascade = Cascade(
        rows,
        batcher,
        Standing(servings, 0, tiers[0].name),
        watch_of(config),
        decide,
        audit_share=config.cascade.audit_share,
        by_confidence=config.catalog.decided.format == "image",
    )
    return Answers(rows, asked, cascade, (entries[ENTRY], second))


def watch_of(config: PipelineConfig) -> CascadeWatch:
    """What holds the stream against the calibration. Raises ConfigError where that is about other models.

    Thresholds more cautious than the calibrated ones lose no more, but nothing is known of what they pass on: then
    nothing is held against anything.
    """
    section, expected, moves = config.cascade, None, None
    thresholds = Thresholds(section.sure_below, section.sure_above)
    if section.report:
        place = [tier.name for tier in config.tiers].index(section.first)
        first, best = _entry(config, place), _entry(config, 0)
        report = check_report(Path(section.report), first, best, section.sure_below, section.sure_above)
        found = report.calibrated
        expected = found.expected if found.thresholds == thresholds else None
    if section.recalibrate and section.sure_below_range is not None and section.sure_above_range is not None:
        moves = Moves(section.sure_below_range, section.sure_above_range)
    return CascadeWatch(thresholds, expected, section.watch_rows, moves)


def _entry(config: PipelineConfig, number: int) -> ModelEntry:
    folder, tier = config.models.folder, config.tiers[number]
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    return repository.load(tier.model, tier.version)
