"""Quality of two sides: the same is no difference, the worse is found worse, the changed are told."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_recording import LABELS, ROWS, by_name, decided, quiet, recording

from pipeline.evaluation import quality
from pipeline.evaluation.quality import Paired


def test_the_same_decisions_are_no_difference_in_any_figure() -> None:
    of = recording()
    one = decided(of, 0.1)
    paired = Paired.of(of, one, one)
    figures = quality.figures(paired, LABELS, 1, quiet)
    assert {"auc", "ap", "cp100", "caught", "caught_surely", "disturbed", "decided_review"} <= by_name(figures).keys()
    assert {(figure.verdict, figure.change, figure.low, figure.high) for figure in figures} == {
        ("no difference seen", 0.0, 0.0, 0.0)
    }
    alike = quality.agreement(paired, of, one, one, LABELS)
    assert (alike.flipped, alike.changed, alike.score_gap_p99) == (0, [], 0.0)
    assert alike.rank_correlation == pytest.approx(1.0)


def test_a_noisier_model_is_found_worse_and_the_other_way_round_better() -> None:
    of = recording()
    good, bad = decided(of, 0.05), decided(of, 0.4, seed=2)
    worse = by_name(quality.figures(Paired.of(of, good, bad), LABELS, 1, quiet))
    better = by_name(quality.figures(Paired.of(of, bad, good), LABELS, 1, quiet))
    for name in ("auc", "ap", "disturbed"):
        assert (worse[name].verdict, better[name].verdict) == ("worse", "better"), name
        assert worse[name].change == pytest.approx(-better[name].change)
        assert worse[name].low < worse[name].change < worse[name].high


def test_a_threshold_that_lets_fraud_pass_is_found_worse() -> None:
    of = recording()
    a = decided(of, 0.1)
    b = replace(a, decision=np.searchsorted([0.7, 0.95], a.score, side="right").astype(np.int8))
    figures = by_name(quality.figures(Paired.of(of, a, b), LABELS, 1, quiet))
    assert (figures["caught"].verdict, figures["caught_surely"].verdict) == ("worse", "worse")
    assert (figures["disturbed"].verdict, figures["decided_approve"].verdict) == ("better", "more")
    assert figures["auc"].verdict == figures["ap"].verdict == "no difference seen"
    assert of.positive is not None
    assert figures["caught"].a == pytest.approx(np.mean(a.decision[of.positive] > 0))
    assert figures["disturbed"].b == pytest.approx(np.mean(b.decision[~of.positive] > 0))


def test_without_labels_only_decisions_are_compared() -> None:
    of = recording(labelled=False)
    figures = quality.figures(Paired.of(of, decided(of, 0.1), decided(of, 0.2)), LABELS, 1, quiet)
    assert {figure.group for figure in figures} == {"decisions"}


def test_few_cards_have_no_card_precision() -> None:
    of = recording()
    few = replace(of, cluster=of.cluster % 150, clusters=150)
    assert "cp100" not in by_name(
        quality.figures(Paired.of(few, decided(few, 0.1), decided(few, 0.2)), LABELS, 1, quiet)
    )


def test_only_events_that_both_scored_are_paired() -> None:
    of = recording()
    a, b = decided(of, 0.1), decided(of, 0.1)
    a.decision[:10], a.score[:10], b.score[5:20] = -1, np.nan, np.nan
    paired = Paired.of(of, a, b)
    assert paired.rows.tolist() == list(range(20, ROWS))
    alike = quality.agreement(paired, of, a, b, LABELS)
    assert (alike.both, alike.only_a, alike.only_b) == (ROWS - 20, 0, 10)


def test_the_most_changed_events_come_first_with_what_they_are() -> None:
    of = recording()
    a = decided(of, 0.1)
    b = replace(a, score=a.score.copy(), decision=a.decision.copy())
    for row, gap in ((100, 0.2), (200, 0.6), (300, 0.4)):
        b.score[row] = a.score[row] + gap
        b.decision[row] = (a.decision[row] + 1) % 3
    alike = quality.agreement(Paired.of(of, a, b), of, a, b, LABELS)
    assert [one.id for one in alike.changed] == ["200", "300", "100"]
    first = alike.changed[0]
    assert of.positive is not None
    assert (first.time_ms, first.key) == (int(of.time_ms[200]), str(of.cluster[200]))
    assert (first.a, first.b, first.positive) == (LABELS[a.decision[200]], LABELS[b.decision[200]], of.positive[200])
    assert sum(sum(row.values()) for row in alike.flips.values()) == ROWS
    assert sum(count for one, row in alike.flips.items() for other, count in row.items() if one != other) == 3


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=40))
def test_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = np.array(pairs, float).T
    found = quality.rank_correlation(a, b)
    if a.std() == 0 or b.std() == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(a, b).statistic)


def test_the_drawn_curve_ends_at_full_recall_and_its_prevalence() -> None:
    of = recording()
    assert of.positive is not None
    score = decided(of, 0.1).score
    curve = quality.precision_recall(score, of.positive)
    caught = score >= score[of.positive].min()
    assert curve[-1] == (1.0, round(float(of.positive[caught].mean()), 5))
    assert len(curve) <= quality.CURVE_POINTS
    assert [recall for recall, _ in curve] == sorted(recall for recall, _ in curve)
