"""From a period that is over to its records: all decisions together, then each model version in its tier."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.quality.join import Period
from pipeline.quality.measures import Measure, ap_of, auc_of, brier_of, calibration_of, cards_of
from pipeline.wire.quality import Interval, QualityRecord


class Answerer(NamedTuple):
    """Who answered, as a decision says; a rule has no model, an expired event nobody."""

    tier: str | None
    model: str | None
    version: str | None


EVERYBODY = Answerer(None, None, None)


def records_of(
    pipeline: str, period: Period, answerers: Sequence[Answerer], cards: int, *, whole: bool
) -> Iterator[QualityRecord]:
    """One record for all decisions, and one for each of the answerers that gave any scores."""
    everything = np.ones(len(period.score), np.bool_)
    yield _record(pipeline, period, EVERYBODY, everything, cards, whole)
    for number in np.unique(period.answer[~np.isnan(period.score)]).tolist():
        yield _record(pipeline, period, answerers[number], period.answer == number, cards, whole)


def _record(
    pipeline: str, period: Period, who: Answerer, chosen: NDArray[np.bool_], cards: int, whole: bool
) -> QualityRecord:
    scored = chosen & ~np.isnan(period.score)
    hit, score = period.hit[scored], period.score[scored].astype(np.float64)
    some = len(score) > 0
    calibration = calibration_of(hit, score) if some else None
    return QualityRecord(
        pipeline=pipeline,
        from_ms=period.start_ms,
        to_ms=period.end_ms,
        tier=who.tier,
        model=who.model,
        version=who.version,
        rows=len(score),
        hits=int(hit.sum()),
        unscored=int((chosen & ~scored).sum()),
        left_out=period.left_out if who is EVERYBODY else 0,
        whole=whole,
        auc=_interval(auc_of(hit, score)),
        ap=_interval(ap_of(hit, score)),
        cards=_interval(cards_of(period.event_ms[scored], period.key[scored], hit, score, cards)) if some else None,
        cards_k=cards,
        brier=_interval(brier_of(hit, score)) if some else None,
        ece=calibration.ece if calibration else None,
        reliability=calibration.reliability if calibration else (),
    )


def _interval(found: Measure | None) -> Interval | None:
    return None if found is None else Interval(found.value, found.low, found.high)


def line_of(record: QualityRecord) -> str:
    """A record for people: one line."""
    who = f"{record.tier} {record.model}/{record.version}" if record.model else record.tier or "all"
    parts = [f"{record.rows:,} rows, {record.hits:,} hits"]
    for name, found in (
        ("AUC", record.auc),
        ("AP", record.ap),
        (f"CP@{record.cards_k}", record.cards),
        ("Brier", record.brier),
    ):
        parts.append(
            f"{name} -" if found is None else f"{name} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
        )
    parts += [f"ECE {record.ece:.4f}"] if record.ece is not None else []
    parts += [f"{record.unscored:,} without a score"] if record.unscored else []
    parts += [f"{record.left_out:,} left out"] if record.left_out else []
    return f"{who}: {', '.join(parts)}{'' if record.whole else ' (not whole)'}"
