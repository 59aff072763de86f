"""The ladders of a cascade and of routes, and what looks at their answers, as a configuration asks for them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.cascade import Expected, Thresholds
from models.cascade_report import CascadeReport, ModelOf, read_report
from models.manifest import ModelError
from pipeline.answers import Answers
from pipeline.batch import Batch, Batching, Ladder
from pipeline.batcher import Batcher, Objective
from pipeline.cascade import Cascade
from pipeline.cascade_watch import CascadeWatch, Moves
from pipeline.config.cascade_section import CascadeSection
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem
from pipeline.ladders import KEEP, Ladders
from pipeline.rows import Rows
from pipeline.servings import Servings
from pipeline.standing import Standing
from pipeline.tier import ModelTier, Tier

ENTRY = 0
"""The ladder of rows that no route leads elsewhere."""
NEAR = 1e-6


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
    first_tier = tiers[entries[ENTRY].tiers[0]]
    section = config.cascade
    report = checked_report(section, first_tier, tiers[0]) if section.report else None
    cascade = Cascade(
        rows,
        batcher,
        Standing(servings, 0, tiers[0].name),
        watch_of(section, report.expected if report else None),
        decide,
        audit_share=section.audit_share,
        by_confidence=section.sure_min is not None,
    )
    return Answers(rows, asked, cascade, (entries[ENTRY], second))


def thresholds_of(section: CascadeSection) -> Thresholds:
    """Where the first model is sure, as configured."""
    if section.sure_min is not None:
        return Thresholds(0.0, section.sure_min)
    assert section.sure_below is not None
    assert section.sure_above is not None
    return Thresholds(section.sure_below, section.sure_above)


def watch_of(section: CascadeSection, expected: Expected | None) -> CascadeWatch:
    """What holds the stream against the calibration."""
    moves = None
    if section.recalibrate and section.sure_above_range is not None:
        moves = Moves(section.sure_below_range or (0.0, 0.0), section.sure_above_range)
    return CascadeWatch(thresholds_of(section), expected, section.watch_rows, moves)


def checked_report(section: CascadeSection, first: Tier, second: Tier) -> CascadeReport:
    """The calibration that this cascade rests on. Raises ConfigError when it is about other models or thresholds."""

    def refused(text: str) -> ConfigError:
        return ConfigError("", [Problem("cascade.report", text)])

    try:
        report = read_report(Path(section.report))
    except ModelError as error:
        raise refused(str(error)) from None
    for tier, found in ((first, report.first), (second, report.second)):
        assert isinstance(tier, ModelTier)
        if found.sha256 != tier.sha256:
            name = f"{tier.label.model}/{tier.label.version}"
            raise refused(
                f"{section.report}: is about {_named(found)} of another sha256, expected the one of {name} in tier "
                f"{tier.name}"
            )
    asked, found_at = thresholds_of(section), report.thresholds
    apart = max(
        abs(asked.sure_below - found_at.sure_below),
        abs(asked.sure_above - found_at.sure_above),
    )
    if apart > NEAR:
        raise refused(
            f"{section.report}: was calibrated with sure_below {found_at.sure_below:g} and sure_above "
            f"{found_at.sure_above:g}, found {asked.sure_below:g} and {asked.sure_above:g}"
        )
    return report


def _named(model: ModelOf) -> str:
    return f"{model.model}/{model.version}"
