"""How good each side's decisions are, and how sure the difference: a bootstrap that draws whole customers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.ranking import Cards, Ranking
from pipeline.evaluation.recording import DAY_MS, Recording
from pipeline.evaluation.replayed import Decided
from pipeline.evaluation.report import Agreement, Changed, Figure, told
from pipeline.evaluation.statistics import Direction, draws, percentiles, verdict

REPLICATES_MAX, REPLICATES_MIN = 1000, 200
ROWS_MAX = 1_000_000_000
"""Rows times replicates that are looked at for each side: some seconds."""
CARDS = 100
CHANGED_MAX = 20
CURVE_POINTS = 200


@dataclass(frozen=True)
class Paired:
    """Events that both sides scored, `rows` of the recording: their scores and decisions, and whose they are."""

    rows: NDArray[np.int64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    decision_a: NDArray[np.int8]
    decision_b: NDArray[np.int8]
    cluster: NDArray[np.int32]
    clusters: int
    day: NDArray[np.int64]
    positive: NDArray[np.bool_] | None

    @classmethod
    def of(cls, recording: Recording, a: Decided, b: Decided) -> "Paired":
        """Those with a score on both sides."""
        rows = np.flatnonzero(np.isfinite(a.score) & np.isfinite(b.score))
        positive = None if recording.positive is None else recording.positive[rows]
        return cls(
            rows=rows,
            a=a.score[rows],
            b=b.score[rows],
            decision_a=a.decision[rows],
            decision_b=b.decision[rows],
            cluster=recording.cluster[rows],
            clusters=recording.clusters,
            day=recording.time_ms[rows] // DAY_MS,
            positive=positive,
        )


@dataclass(frozen=True)
class _Share:
    """A share on each side: rows of `of` that are in `a`, and in `b`."""

    name: str
    group: str
    title: str
    better: Direction
    a: NDArray[np.bool_]
    b: NDArray[np.bool_]
    of: NDArray[np.bool_]

    @property
    def told(self) -> tuple[str, str, str, Direction]:
        """How the figure is called."""
        return self.name, self.group, self.title, self.better


def replicates_for(rows: int) -> int:
    """How many bootstrap replicates so many rows are worth."""
    return int(np.clip(ROWS_MAX // max(rows, 1), REPLICATES_MIN, REPLICATES_MAX))


def figures(paired: Paired, labels: Sequence[str], seed: int, tell: Callable[[str], None]) -> list[Figure]:
    """Quality, where labels are known, and how often each decision is made. Intervals are of B - A."""
    shares, ranks = _shares(paired, labels), _Ranks.of(paired)
    counted = _Counted.of_shares(paired, shares)
    ones = np.ones((1, paired.clusters), np.int32)
    replicates, blocks, done = replicates_for(len(paired.rows)), [], 0
    for weights in draws(paired.clusters, replicates, seed):
        a, b = _measured(weights, ranks, counted)
        blocks.append(b - a)
        done += len(weights)
        tell(f"bootstrap: {done} of {replicates} replicates")
    whole_a, whole_b = (side[0] for side in _measured(ones, ranks, counted))
    differences = np.concatenate(blocks)
    made = []
    for number, (name, group, title, better) in enumerate([*ranks.names, *(share.told for share in shares)]):
        interval = percentiles(float(whole_b[number] - whole_a[number]), differences[:, number])
        made.append(
            Figure(
                name=name,
                group=group,
                title=title,
                unit="" if number < len(ranks.names) else "share",
                a=told(whole_a[number]),
                b=told(whole_b[number]),
                change=told(interval.value),
                low=told(interval.low),
                high=told(interval.high),
                relative=False,
                better=better,
                verdict=verdict(interval, better),
            )
        )
    return made


def _measured(
    weights: NDArray[np.int32], ranks: "_Ranks", counted: "_Counted"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """float64[replicates, figures] of A and of B."""
    rank_a, rank_b = ranks.measured(weights)
    share_a, share_b = counted.measured(weights)
    return np.concatenate([rank_a, share_a], axis=1), np.concatenate([rank_b, share_b], axis=1)


@dataclass(frozen=True)
class _Ranks:
    """What depends on the order of scores; nothing without labels, no card precision with few cards."""

    names: list[tuple[str, str, str, Direction]]
    rankings: tuple[Ranking, ...]
    cards: tuple[Cards, ...]

    @classmethod
    def of(cls, paired: Paired) -> "_Ranks":
        if paired.positive is None:
            return cls([], (), ())
        positive = paired.positive
        names: list[tuple[str, str, str, Direction]] = [
            ("auc", "quality", "ROC AUC", "higher"),
            ("ap", "quality", "average precision", "higher"),
        ]
        rankings = tuple(Ranking.of(positive, score, paired.cluster) for score in (paired.a, paired.b))
        if paired.clusters < 2 * CARDS:
            return cls(names, rankings, ())
        names.append((f"cp{CARDS}", "quality", f"card precision@{CARDS}", "higher"))
        cards = tuple(Cards.of(paired.day, positive, score, paired.cluster) for score in (paired.a, paired.b))
        return cls(names, rankings, cards)

    def measured(self, weights: NDArray[np.int32]) -> list[NDArray[np.float64]]:
        """float64[replicates, figures] of each side."""
        if not self.rankings:
            return [np.empty((len(weights), 0))] * 2
        areas = [ranking.areas(weights) for ranking in self.rankings]
        if not self.cards:
            return areas
        cards = [one.precision(CARDS, weights)[:, None] for one in self.cards]
        return [np.concatenate(pair, axis=1) for pair in zip(areas, cards, strict=True)]


@dataclass(frozen=True)
class _Counted:
    """float64[clusters, shares]: rows of each share on either side, and of what they are shares of."""

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    of: NDArray[np.float64]

    @classmethod
    def of_shares(cls, paired: Paired, shares: Sequence[_Share]) -> "_Counted":
        def by_cluster(rows: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
            made = np.zeros((paired.clusters, len(rows)))
            for number, one in enumerate(rows):
                made[:, number] = np.bincount(paired.cluster[one], minlength=paired.clusters)
            return made

        return cls(
            by_cluster([share.a & share.of for share in shares]),
            by_cluster([share.b & share.of for share in shares]),
            by_cluster([share.of for share in shares]),
        )

    def measured(self, weights: NDArray[np.int32]) -> list[NDArray[np.float64]]:
        """float64[replicates, shares] of each side; NaN where nothing was drawn to take a share of."""
        drawn = weights.astype(np.float64)
        whole = drawn @ self.of
        whole[whole == 0] = np.nan
        return [drawn @ self.a / whole, drawn @ self.b / whole]


def _shares(paired: Paired, labels: Sequence[str]) -> list[_Share]:
    first, last = labels[0], labels[-1]
    every = np.ones(len(paired.rows), np.bool_)
    sides = (paired.decision_a, paired.decision_b)
    made = []
    if paired.positive is not None and len(labels) > 1:
        caught_a, caught_b = (decision > 0 for decision in sides)
        sure_a, sure_b = (decision == len(labels) - 1 for decision in sides)
        made.append(
            _Share("caught", "quality", f"positives not {first}", "higher", caught_a, caught_b, paired.positive)
        )
        if len(labels) > 2:
            title = f"positives {last}"
            made.append(_Share("caught_surely", "quality", title, "higher", sure_a, sure_b, paired.positive))
        made.append(
            _Share("disturbed", "quality", f"negatives not {first}", "lower", caught_a, caught_b, ~paired.positive)
        )
    for number, label in enumerate(labels):
        of_a, of_b = (decision == number for decision in sides)
        made.append(_Share(f"decided_{label}", "decisions", f"decided {label}", "", of_a, of_b, every))
    return made


def agreement(paired: Paired, recording: Recording, a: Decided, b: Decided, labels: Sequence[str]) -> Agreement:
    """How alike the sides decide and score, and the events whose decision changed with the widest gap of scores."""
    table = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(table, (paired.decision_a, paired.decision_b), 1)
    gap = np.abs(paired.b - paired.a)
    flipped = np.flatnonzero(paired.decision_a != paired.decision_b)
    widest = flipped[np.argsort(-gap[flipped], kind="stable")[:CHANGED_MAX]]
    rows = paired.rows[widest]
    keys = recording.events[recording.spec.key].take(rows + recording.first).to_pylist()
    changed = [
        Changed(
            id=recording.ids[int(row)].as_py(),
            time_ms=int(recording.time_ms[row]),
            key=str(key),
            a=labels[paired.decision_a[at]],
            b=labels[paired.decision_b[at]],
            score_a=told(paired.a[at]),
            score_b=told(paired.b[at]),
            positive=None if paired.positive is None else bool(paired.positive[at]),
        )
        for at, row, key in zip(widest, rows, keys, strict=True)
    ]
    p50, p99 = np.quantile(gap, [0.5, 0.99]) if len(gap) else (np.nan, np.nan)
    return Agreement(
        both=len(paired.rows),
        only_a=int((a.told & ~b.told).sum()),
        only_b=int((b.told & ~a.told).sum()),
        flips={one: dict(zip(labels, row.tolist(), strict=True)) for one, row in zip(labels, table, strict=True)},
        flipped=len(flipped),
        rank_correlation=told(rank_correlation(paired.a, paired.b)),
        score_gap_p50=told(p50),
        score_gap_p99=told(p99),
        changed=changed,
    )


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's: the correlation of ranks, tied ones sharing theirs; NaN where one side says the same of all."""
    if not len(a):
        return np.nan
    rank_a, rank_b = (ranks - ranks.mean() for ranks in (_ranks(a), _ranks(b)))
    scale = np.sqrt((rank_a @ rank_a) * (rank_b @ rank_b))
    return float(rank_a @ rank_b / scale) if scale else np.nan


def _ranks(score: NDArray[np.float64]) -> NDArray[np.float64]:
    _, where, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return middle[where]


def confusion(
    decision: NDArray[np.int8], positive: NDArray[np.bool_] | None, labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Rows by truth and decision; all under one name where the truth is not known."""
    groups = (
        {"all": np.ones(len(decision), np.bool_)}
        if positive is None
        else {"positive": positive, "negative": ~positive}
    )
    return {
        name: {label: int((decision[rows] == number).sum()) for number, label in enumerate(labels)}
        for name, rows in groups.items()
    }


def precision_recall(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """(recall, precision) at falling thresholds, few enough to draw."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    recall, precision = hits[last] / hits[-1], hits[last] / (last + 1)
    wanted = np.unique(np.searchsorted(recall, np.linspace(recall[0], 1.0, CURVE_POINTS)).clip(0, len(recall) - 1))
    return [(round(float(recall[at]), 5), round(float(precision[at]), 5)) for at in wanted]
