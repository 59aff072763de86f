"""What becomes of rows between a cascade's two stages, of scores and of classes."""

from types import SimpleNamespace

import numpy as np
import pytest

from models.cascade import Expected, Thresholds
from pipeline.cascade import Cascade
from pipeline.cascade_watch import CascadeWatch
from pipeline.rows import Rows
from pipeline.servings import Servings, TierLabel
from pipeline.standing import Standing

LITE = 2
LABELS = TierLabel("primary", "big", "1", "CPU"), TierLabel("lite", "small", "1", "CPU")
SLOTS = np.array([5, 1, 3, 2], np.int32)


class Ground:
    def __init__(self, thresholds: Thresholds, *, audit_share: float = 0.0, classes: int = 0) -> None:
        self.rows = Rows(8, 1, classes=classes)
        self.servings = Servings.of_ladder([(label, ()) for label in LABELS])
        self.passed: list[int] = []
        self.ladders = SimpleNamespace(overloaded=False, pass_on=lambda slots: self.passed.extend(slots.tolist()))
        self.watch = CascadeWatch(thresholds, Expected(1000, 0.9, 0.0, 1.0, 0.0), 4)
        self.cascade = Cascade(
            self.rows,
            self.ladders,
            Standing(self.servings, 0, "primary"),
            self.watch,
            self.decide,
            audit_share=audit_share,
            by_confidence=bool(classes),
        )

    def decide(self, slots) -> None:
        self.rows.decision[slots] = self.rows.score[slots] >= 0.5

    def first(self, scores) -> list[int]:
        self.rows.score[SLOTS] = scores
        self.rows.serving[SLOTS] = LITE
        return self.cascade.first(SLOTS).tolist()

    def second(self, slots, scores, tier: int = 0) -> None:
        self.rows.score[slots] = scores
        self.cascade.second(np.array(slots, np.int32), tier)

    def counts(self) -> dict[str, int]:
        return {name.partition("_")[2]: value for name, value in self.cascade.counts().items() if value}


def test_sure_rows_are_answered_as_by_the_best_tier_and_the_others_go_on() -> None:
    ground = Ground(Thresholds(0.1, 0.9))
    assert ground.first([0.05, 0.5, 0.95, np.nan]) == [5, 3]
    assert ground.passed == [1, 2]
    assert [ground.servings.of(number).label.tier for number in ground.rows.serving[SLOTS]] == [
        "primary", "lite", "primary", "lite"
    ]  # fmt: skip
    ground.second([1], [0.4])
    ground.cascade.kept(np.array([2], np.int32), 700)
    assert ground.counts() == {"rows/sure": 2, "rows/passed": 1, "rows/kept": 1}


def test_how_far_the_models_agree_is_of_what_the_best_tier_scored_too() -> None:
    ground = Ground(Thresholds(0.1, 0.9))
    ground.first([0.2, 0.5, 0.05, 0.7])
    ground.second([5, 2], [0.25, 0.6])
    ground.second([1], [0.9], tier=1)
    ground.watch.scored(np.zeros(4, np.float32))
    assert ground.watch.levels()["cascade_agreement/found"] == pytest.approx(1 - (0.05 + 0.1) / 2)


def test_of_classes_the_likeliest_is_what_counts() -> None:
    ground = Ground(Thresholds(0.0, 0.8), classes=3)
    ground.rows.likeliest[SLOTS] = [0, 1, 2, 0]
    for slot, best, sure in zip(SLOTS, (0, 1, 2, 0), (0.9, 0.6, 0.81, 0.8), strict=True):
        ground.rows.probabilities[slot, best] = sure
    assert ground.first([0.1, 0.2, 0.3, 0.4]) == [5, 3]
    ground.rows.likeliest[[1, 2]] = [1, 2]
    ground.second([1, 2], [0.5, 0.5])
    ground.watch.scored(np.zeros(4, np.float32))
    assert ground.watch.levels()["cascade_agreement/found"] == 0.5


def test_audited_rows_are_compared_by_their_decision_and_stay_sure_where_there_is_no_time() -> None:
    ground = Ground(Thresholds(0.6, 0.9), audit_share=1.0)
    assert ground.first([0.05, 0.4, 0.95, 0.7]) == []
    assert sorted(ground.passed) == [1, 2, 3, 5]
    ground.second([5, 1], [0.1, 0.6])
    ground.cascade.kept(np.array([3, 2], np.int32), 700)
    found = {"rows/sure": 3, "rows/kept": 1, "audited/same": 1, "audited/otherwise": 1}
    assert ground.counts() == found
    assert ground.watch.levels()["cascade_disagreement"] == 0.5
    assert ground.servings.of(ground.rows.serving[3]).label.tier == "primary"
    assert ground.servings.of(ground.rows.serving[2]).label.tier == "lite"


def test_nothing_is_audited_in_overload() -> None:
    ground = Ground(Thresholds(0.6, 0.9), audit_share=1.0)
    ground.ladders.overloaded = True
    assert ground.first([0.05, 0.4, 0.95, 0.7]) == [5, 1, 3]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5])
def test_the_drawn_share_is_the_one_asked_for_whatever_offsets_and_partitions_are(share: float) -> None:
    n = 200_000
    rows = Rows(n, 1)
    rows.offset[:] = np.arange(n) // 8 + 10**9
    rows.partition[:] = np.arange(n) % 8
    watch = CascadeWatch(Thresholds(0.0, 1.0), None, 100)
    standing = Standing(Servings.of_ladder([(label, ()) for label in LABELS]), 0, "primary")
    ladders = SimpleNamespace(overloaded=False)
    cascade = Cascade(rows, ladders, standing, watch, print, audit_share=share, by_confidence=False)
    drawn = cascade._drawn(np.arange(n, dtype=np.int32))
    assert drawn.mean() == pytest.approx(share, rel=5 / np.sqrt(share * n))
    assert np.array_equal(drawn, cascade._drawn(np.arange(n, dtype=np.int32)))
    by_partition = [drawn[partition::8].mean() for partition in range(8)]
    assert by_partition == pytest.approx([share] * 8, rel=6 / np.sqrt(share * n / 8))


def test_what_was_kept_waited_until_now() -> None:
    ground = Ground(Thresholds(0.1, 0.9))
    ground.first([0.5] * 4)
    ground.rows.score_ns[SLOTS] = 40
    ground.cascade.kept(SLOTS, 1_000)
    assert (ground.rows.dispatch_ns[SLOTS] + ground.rows.score_ns[SLOTS] == 1_000).all()
