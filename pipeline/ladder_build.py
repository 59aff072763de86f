"""The ladders of a cascade and of routes, and what looks at their answers, as a configuration asks for them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.cascade import Thresholds
from models.cascade_report import CascadeReport, read_report
from models.manifest import Manifest, ModelError
from models.repository import Repository
from pipeline.answers import Answers
from pipeline.batch import Batch, Batching, Ladder
from pipeline.batcher import Batcher, Objective
from pipeline.cascade import Cascade
from pipeline.cascade_watch import CascadeWatch, Moves
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem
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
        needed_behind(tiers[entries[ENTRY].tiers[0]], config.engine.buckets) if second is not None else lambda: 0,
    )


def needed_behind(first: Tier, buckets: Sequence[int]) -> Callable[[], int]:
    """What rows need that are read while a second stage runs: a full batch of the first model, and a turn as long."""
    assert isinstance(first, ModelTier)
    return lambda: 2 * first.cost.promised_ns(buckets[-1])


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
    thresholds = thresholds_of(config)
    if section.report:
        report = checked_report(config, thresholds)
        expected = report.expected if report.thresholds == thresholds else None
    if section.recalibrate and section.sure_above_range is not None:
        moves = Moves(section.sure_below_range or (0.0, 0.0), section.sure_above_range)
    return CascadeWatch(thresholds, expected, section.watch_rows, moves)


def thresholds_of(config: PipelineConfig) -> Thresholds:
    """Where a cascade's first model is sure, as configured."""
    section = config.cascade
    if section.sure_min is not None:
        return Thresholds(0.0, section.sure_min)
    return Thresholds(section.sure_below, section.sure_above)


def checked_report(config: PipelineConfig, thresholds: Thresholds) -> CascadeReport:
    """The calibration that the cascade rests on.

    Raises ConfigError when it is of other models, or when these thresholds settle more than was measured.
    """
    file, names = config.cascade.report, [tier.name for tier in config.tiers]

    def refused(text: str) -> ConfigError:
        return ConfigError("", [Problem("cascade.report", text)])

    try:
        report = read_report(Path(file))
    except ModelError as error:
        raise refused(str(error)) from None
    for place, found in ((names.index(config.cascade.first), report.first), (0, report.second)):
        asked = _manifest(config, place)
        if found.sha256 != asked.sha256:
            raise refused(
                f"{file}: is about {found.model}/{found.version} of another sha256, expected the one of "
                f"{asked.name}/{asked.version} in tier {names[place]}"
            )
    was = report.thresholds
    if thresholds.sure_below > was.sure_below or thresholds.sure_above < was.sure_above:
        raise refused(
            f"{file}: was calibrated for sure_below = {was.sure_below!r} and sure_above = {was.sure_above!r}; found "
            f"{thresholds.sure_below!r} and {thresholds.sure_above!r}, which settle more than was measured"
        )
    return report


def _manifest(config: PipelineConfig, number: int) -> Manifest:
    folder, tier = config.models.folder, config.tiers[number]
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    return repository.load(tier.model, tier.version).manifest
