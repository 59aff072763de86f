"""The whole evaluation: replay both sides, play the rounds, and put what was found into one report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config.model import PipelineConfig
from pipeline.evaluation import quality, speed
from pipeline.evaluation.recording import Recording
from pipeline.evaluation.replayed import Decided, replay_both
from pipeline.evaluation.report import REPORT_VERSION, Report, SideReport
from pipeline.evaluation.rounds import PARTITIONS, Pace, Round, due_times, run_rounds
from pipeline.evaluation.side import Side, differing
from pipeline.evaluation.speed import Played


@dataclass(frozen=True)
class Price:
    """What an hour of one CPU costs."""

    cpu_hour: float
    currency: str


@dataclass(frozen=True)
class Asked:
    """How to evaluate: without `pace` nothing is told of latency and goodput; `settings` are for the reader."""

    pace: Pace | None
    replays: int
    price: Price
    seed: int
    made_ms: int
    settings: dict[str, str]


def evaluate(recording: Recording, sides: Sequence[Side], asked: Asked, tell: Callable[[str], None]) -> Report:
    """Raises RecordingError before anything runs when the recording does not last, HeadraceError if a side fails."""
    pace = asked.pace
    due_s, rate = (np.empty(0), 0.0) if pace is None else due_times(recording.time_ms, pace)
    decided = replay_both(recording, sides, asked.replays, tell)
    rounds: list[list[Round]] = [[], []] if pace is None else run_rounds(recording, sides, pace, due_s, tell)
    played = [Played(one, side.config.tiers[0].name) for one, side in zip(rounds, sides, strict=True)]
    return report_of(recording, sides, decided, played, rate, asked, tell)


def report_of(
    recording: Recording,
    sides: Sequence[Side],
    decided: Sequence[Decided],
    played: Sequence[Played],
    rate: float,
    asked: Asked,
    tell: Callable[[str], None],
) -> Report:
    """What was decided and what was played, A's first, as a report; `rate` is that of the rounds."""
    labels, pace, price = sides[0].config.decide.labels, asked.pace, asked.price
    paired = quality.Paired.of(recording, decided[0], decided[1])
    figures = quality.figures(paired, labels, asked.seed, tell) if len(paired.rows) else []
    if pace is not None:
        figures += speed.figures(played[0], played[1], pace.round_s, price.cpu_hour, price.currency)
    figures += speed.full_batches(decided[0], decided[1], price.cpu_hour, price.currency)
    decisions, scores = (paired.decision_a, paired.decision_b), (paired.a, paired.b)
    made = [
        _side(side, one, play, paired, score, decision)
        for side, one, play, score, decision in zip(sides, decided, played, scores, decisions, strict=True)
    ]
    return Report(
        v=REPORT_VERSION,
        made_ms=asked.made_ms,
        pipeline=sides[0].config.pipeline.name,
        a=made[0],
        b=made[1],
        differing=differing(sides[0].config, sides[1].config),
        settings=asked.settings,
        recording=_facts(recording),
        figures=figures,
        agreement=quality.agreement(paired, recording, decided[0], decided[1], labels),
        notes=[*_quality_notes(recording, paired, decided), *_speed_notes(sides, pace, rate, decided, played, price)],
    )


def _side(
    side: Side,
    decided: Decided,
    played: Played,
    paired: quality.Paired,
    score: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    decision: "np.ndarray[tuple[int], np.dtype[np.int8]]",
) -> SideReport:
    config, ran = side.config, bool(played.rounds)
    return SideReport(
        letter=side.letter,
        title=side.title,
        source=str(side.loaded.source),
        tiers=[f"{tier.name}: {tier.model}/{tier.version}" if tier.model else tier.name for tier in config.tiers],
        answered=decided.answered,
        replay_cpu_us=[cpu_s / max(decided.events, 1) * 1e6 for cpu_s in decided.cpu_s],
        outcomes=speed.outcomes(played) if ran else {},
        by_tier=speed.by_tier(played) if ran else {},
        confusion=quality.confusion(decision, paired.positive, config.decide.labels),
        curve=quality.precision_recall(score, paired.positive) if paired.positive is not None else [],
        tail_ms=speed.tail_ms(played, "age") if ran else [],
        round_cpu_us=speed.round_cpu_us(played) if ran else [],
    )


def _facts(recording: Recording) -> dict[str, str]:
    first, last = (
        str(np.datetime64(int(ms), "ms").astype("datetime64[s]")).replace("T", " ")
        for ms in recording.time_ms[[0, -1]]
    )
    facts = {
        "events": f"{recording.rows:,}",
        "from": first,
        "to": last,
        f"distinct {recording.spec.key}": f"{recording.clusters:,}",
    }
    if recording.first:
        facts["before, for state alone"] = f"{recording.first:,}"
    if recording.positive is not None:
        facts["positives"] = f"{int(recording.positive.sum()):,}"
    return facts


def _quality_notes(recording: Recording, paired: quality.Paired, decided: Sequence[Decided]) -> list[str]:
    key, cold = recording.spec.key, recording.first == 0
    notes = [
        "Scores and decisions are those of the engine itself in a replay of the recording: all events in time order, "
        "each answered as if there were time enough.",
        f"Intervals of quality and decisions: 95 % percentiles of a paired bootstrap that draws each {key} with "
        f"all of its events, {quality.replicates_for(len(paired.rows))} replicates. Each figure is judged by itself: "
        f"of twenty that do not differ, one shows a difference by chance.",
        "No difference seen is not no difference: the interval says how large one may still be.",
    ]
    if recording.positive is None:
        notes.append("No labels were given, so it is told how the decisions differ and not which are right.")
    else:
        notes.append(
            f"Positives are where {recording.labels} is true. The judged events must be newer than what either model "
            f"was trained on."
        )
    if cold:
        notes.append("Windows are empty at the first event: with --from, the events before it fill them unjudged.")
    undecided = [recording.rows - int(one.told.sum()) for one in decided]
    if any(undecided):
        notes.append(
            f"Without a decision (dead letters): {undecided[0]:,} events of A, {undecided[1]:,} of B; quality is of "
            f"those that both scored."
        )
    if recording.sorted_here:
        notes.append("The file is not in time order; it was put into it.")
    return notes


def _speed_notes(
    sides: Sequence[Side],
    pace: Pace | None,
    rate: float,
    decided: Sequence[Decided],
    played: Sequence[Played],
    price: Price,
) -> list[str]:
    replays = len(decided[0].cpu_s)
    notes = [
        f"Cost is CPU time of the whole process, Kafka client included, at {price.cpu_hour:g} {price.currency} an "
        f"hour of a CPU. With full batches: of the replay, {replays} of each side in turns. At a low rate much of it "
        f"is the loop that waits."
    ]
    if pace is None:
        return [*notes, "Latency and goodput were not asked for (--rounds 0)."]
    behind_ms = max(one.behind_ms for side in played for one in side.rounds)
    speed_up = "" if pace.speed_up is None else f" ({pace.speed_up:g} times as fast as recorded)"
    notes += [
        f"Latency, goodput and cost at a rate: one process a side, on an embedded cluster of {PARTITIONS} partitions "
        f"a topic, on this machine. The same {rate:,.0f} events/s{speed_up} went to A and then to B, in the next "
        f"round to B and then to A: {pace.rounds} rounds of {pace.round_s:.1f} s after one to warm up. Windows begin "
        f"empty.",
        "Intervals of them: rounds are left out one after the other (Student's) and drawn with replacement (a "
        "bootstrap), and the interval holds both; quantiles are of the merged histograms of the rounds. A change is "
        "of B against A in the same rounds.",
        f"The sender was at most {behind_ms:,.0f} ms behind its schedule.",
    ]
    for side, one in zip(sides, played, strict=True):
        lower = 1 - float(one.good.sum() / one.sent.sum())
        if lower > 0.01:
            notes.append(
                f"{side.letter} did not score {lower:.1%} of the events by its best tier in time at this rate; its "
                f"quality above is that of all events scored in time."
            )
        if gpu := _elsewhere(side.config):
            notes.append(f"{side.letter} runs on {gpu}: what that device costs is not in the figures.")
    return notes


def _elsewhere(config: PipelineConfig) -> str:
    found = {name for tier in config.tiers for name in tier.providers if name != "CPUExecutionProvider"}
    return ", ".join(sorted(found))
