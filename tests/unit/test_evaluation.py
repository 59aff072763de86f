"""An evaluation's parts on made-up data: the same is no difference, the worse is found worse, figures are pooled."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.evaluation import quality, speed
from pipeline.evaluation.evaluate import Price, report_of
from pipeline.evaluation.page import page_of
from pipeline.evaluation.quality import Paired
from pipeline.evaluation.recording import Recording, RecordingError
from pipeline.evaluation.replayed import BLOCK_ROWS, Decided, _places
from pipeline.evaluation.report import Figure, Report
from pipeline.evaluation.rounds import Pace, Round, _parts, due_times
from pipeline.evaluation.side import Side, apart, differing, require_alike, told_of
from pipeline.evaluation.speed import Played
from pipeline.evaluation.words import change, interval, number
from pipeline.telemetry.histogram import Histogram
from pipeline.wire.metrics import MetricsRecord

LABELS = ("approve", "review", "decline")
THRESHOLDS = np.array([0.3, 0.8])
ROWS, CUSTOMERS = 4000, 250
DAY_MS = 86_400_000


def quiet(text: str) -> None:
    del text


def side(letter: str, *assignments: str) -> Side:
    return Side(letter, "fraud", assignments, load("fraud", environ={}, assignments=assignments))


def recording(rows: int = ROWS, *, labelled: bool = True) -> Recording:
    random = np.random.default_rng(3)
    times = np.sort(random.integers(0, 5 * DAY_MS, rows))
    customer = random.integers(0, CUSTOMERS, rows)
    events = pa.table(
        {
            "transaction_id": np.arange(rows),
            "event_time": pa.array(times).cast(pa.timestamp("ms", "UTC")),
            "customer_id": customer,
            "terminal_id": customer + 7,
            "amount": random.integers(1, 9999, rows) / 100,
        }
    )
    labels = pa.table(
        {
            "transaction_id": np.arange(0, rows, 50),
            "event_time": pa.array(times[::50]).cast(pa.timestamp("ms", "UTC")),
            "terminal_id": customer[::50] + 7,
            "customer_id": customer[::50],
            "fraud": np.ones(len(times[::50]), np.bool_),
            "reported_at": pa.array(times[::50] + 1).cast(pa.timestamp("ms", "UTC")),
        }
    )
    return Recording(
        spec=load("fraud", environ={}).config.inputs["transactions"],
        events=events,
        state={"labels": labels},
        first=0,
        ids=pa.array(np.arange(rows)).cast(pa.string()),
        time_ms=times,
        cluster=customer.astype(np.int32),
        clusters=CUSTOMERS,
        positive=random.random(rows) < 0.06 if labelled else None,
        labels="made-up" if labelled else "",
        sorted_here=False,
    )


def decided(of: Recording, noise: float, seed: int = 1) -> Decided:
    """Scores that know the truth but for some noise."""
    random = np.random.default_rng(seed)
    truth = np.zeros(of.rows) if of.positive is None else of.positive.astype(float)
    score = np.clip(0.45 * truth + random.random(of.rows) * 0.5 + random.normal(0, noise, of.rows), 0, 1)
    decision = np.searchsorted(THRESHOLDS, score, side="right").astype(np.int8)
    return Decided(score, decision, {"primary m/1": of.rows}, 0.02, of.rows)


def by_name(figures: Sequence[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


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
    a.decision[:10], b.score[5:20] = -1, np.nan
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


def played(latencies_us: Sequence[Sequence[int]], cpu_s: float = 0.1, good: int | None = None) -> Played:
    rounds = []
    for values in latencies_us:
        histogram = Histogram()
        histogram.record(np.array(values, np.int64))
        record = MetricsRecord(
            pipeline="fraud",
            instance="one",
            from_ms=0,
            to_ms=1,
            outcomes={"scored": len(values)},
            tiers={"primary": len(values)},
            in_time={"primary": len(values) if good is None else good},
            histograms={"age": histogram.sparse(), "total": histogram.sparse()},
        )
        rounds.append(Round(len(values), cpu_s * (1 + 0.01 * len(rounds)), record, 0.0))
    return Played(rounds, "primary")


def test_quantiles_are_of_merged_rounds_and_never_averaged() -> None:
    """Nine rounds of 10 fast events and one of 1,000 slow ones: the median is slow, the mean of medians is not."""
    one = played([[100] * 10] * 9 + [[50_000] * 1000])
    figures = by_name(speed.figures(one, one, 1.0, 0.04, "USD"))
    assert figures["age_p50_ms"].a == pytest.approx(50, rel=0.01)
    assert {figure.verdict for figure in figures.values()} == {"no difference seen"}
    assert {figure.change for figure in figures.values()} == {0.0}


def test_a_slower_dearer_side_is_found_worse() -> None:
    random = np.random.default_rng(1)
    noise = random.lognormal(0, 0.2, 8)
    a = played([(1000 * each * random.lognormal(0, 0.3, 500)).astype(int).tolist() for each in noise], 0.1)
    b = played([(1500 * each * random.lognormal(0, 0.3, 500)).astype(int).tolist() for each in noise], 0.2, good=400)
    figures = by_name(speed.figures(a, b, 2.0, 3.6, "EUR"))
    for name in ("cpu_us", "cost", "age_p50_ms", "total_p99_ms", "goodput", "good"):
        assert figures[name].verdict == "worse", name
    assert figures["cpu_us"].change == pytest.approx(1.0)
    assert figures["cost"].a == pytest.approx(figures["cpu_us"].a / 1000)
    assert (figures["cost"].unit, figures["goodput"].a, figures["goodput"].b) == ("EUR", 250, 200)


def test_the_tail_is_drawn_from_all_rounds() -> None:
    tail = speed.tail_ms(played([[1000] * 90, [9000] * 10]), "age")
    assert tail == [(pytest.approx(1, rel=0.01), pytest.approx(0.1))]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5000), st.integers(1, 9))
def test_events_of_one_instant_share_a_partition_and_keep_their_order(times: list[int], partitions: int) -> None:
    time_ms = np.sort(np.array(times, np.int64))
    places = _places(time_ms, partitions)
    assert ((places >= 0) & (places < partitions)).all()
    # merged by (time, partition, offset) the rows come out as they went in
    assert (np.lexsort((np.arange(len(places)), places, time_ms)) == np.arange(len(places))).all()


def test_partitions_are_filled_alike() -> None:
    counts = np.bincount(_places(np.arange(BLOCK_ROWS * 40), 4))
    assert counts.tolist() == [BLOCK_ROWS * 10] * 4


def test_a_rate_or_a_speed_says_when_events_are_sent() -> None:
    time_ms = np.arange(0, 100_000, 10)
    even, rate = due_times(time_ms, Pace(8, 4, rate=500))
    assert rate == pytest.approx(500)
    assert even[-1] < 10
    assert np.allclose(np.diff(even), 1 / 500)
    recorded, rate = due_times(time_ms, Pace(8, 4, speed_up=2))
    assert rate == pytest.approx(200)
    assert np.allclose(recorded, time_ms[: len(recorded)] / 2000)
    assert due_times(time_ms, Pace(8, 4))[1] == pytest.approx(1000)
    assert due_times(np.arange(10**6), Pace(8, 4))[1] == pytest.approx(2000)


@pytest.mark.parametrize(
    ("events", "pace", "told"),
    [
        (
            1000,
            Pace(8, 4, rate=500),
            "1,000 judged events last 2.0 s at that speed, and 4 rounds and one to warm up take",
        ),
        (100, Pace(8, 4), "a round of 2.0 s has 20 events, expected 50 or more: raise --rate"),
        (1000, Pace(8, 4, speed_up=1000), "lower --rate, --speed-up or --seconds, or judge more events"),
    ],
)
def test_a_recording_that_does_not_last_is_said(events: int, pace: Pace, told: str) -> None:
    with pytest.raises(RecordingError, match=re.escape(told)):
        due_times(np.arange(events) * 10, pace)


def test_every_event_is_sent_once_in_its_round_with_the_labels_known_by_then() -> None:
    of = recording()
    pace = Pace(8, 4)
    due_s, _ = due_times(of.time_ms, pace)
    parts = _parts(of, side("A"), pace, due_s)
    assert [part.events for part in parts] == [ROWS // 5] * 5
    sent = [record for part in parts for record in part.records]
    assert sum(topic == "transactions" for topic, _, _ in sent) == ROWS
    assert 70 < sum(topic == "labels" for topic, _, _ in sent) <= 80
    assert all(0 <= due <= pace.round_s for part in parts for due in part.due_s)
    assert all(part.due_s == sorted(part.due_s) for part in parts)
    first = next(record for record in sent if record[0] == "transactions")
    assert first[1] == str(of.cluster[0]).encode()
    assert b'"transaction_id":0' in first[2]


def test_a_side_runs_apart_from_its_cluster_its_secrets_and_its_folders() -> None:
    given = (
        "kafka.sasl.password=hush",
        "kafka.group.instance.id=one",
        "kafka.producer.linger.ms=7",
        "checkpoint.url=s3://there",
        "delivery.guarantee=exactly_once",
        "engine.commit_ms=20",
    )
    own = apart(side("A", *given).config, "A", "localhost:1", replay=True)
    assert own.kafka.consumer_settings() == {
        "bootstrap.servers": "localhost:1",
        "group.id": "evaluate-A",
        "auto.offset.reset": "earliest",
    }
    assert own.kafka.producer_settings()["linger.ms"] == "7"
    assert (own.checkpoint.url, own.delivery.guarantee, own.http.enabled) == ("", "at_least_once", False)
    assert (own.pipeline.mode, own.topics.decisions, own.inputs["transactions"].topic) == (
        "replay",
        "decisions-A",
        "transactions",
    )
    assert told_of([*given, "pipeline.budget_ms=50"]) == ("engine.commit_ms=20", "pipeline.budget_ms=50")


def test_what_differs_is_told_by_its_key() -> None:
    a, b = side("A").config, side("B", "tiers.primary.model=fraud-lite", "decide.thresholds=[0.4, 0.9]").config
    assert differing(a, b) == [
        ("tiers.primary.model", "fraud-gbt", "fraud-lite"),
        ("decide.thresholds", "[0.3, 0.8]", "[0.4, 0.9]"),
    ]
    assert differing(a, side("B", "kafka.bootstrap.servers=elsewhere:1").config) == []


@pytest.mark.parametrize(
    ("b", "told"),
    [
        (
            load("vision", environ={}).config,
            "inputs: A decides transactions, B decides frames: expected the same events",
        ),
        (
            side("B", 'decide.labels=["yes", "perhaps", "no"]', "decide.fallback=no").config,
            "decide.labels: A decides approve, review, decline, B yes, perhaps, no: expected the same labels",
        ),
        (
            side("B", "inputs.labels.known_time=event_time").config,
            "inputs.labels.known_time: A has 'reported_at', B has 'event_time': expected the same events",
        ),
    ],
)
def test_configurations_that_decide_other_events_are_refused(b: object, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        require_alike(side("A").config, b)  # type: ignore[arg-type]


def figure(**changed: object) -> Figure:
    plain = {"name": "x", "group": "cost", "title": "x", "unit": "ms", "a": 1.0, "b": 2.0, "change": 1.0, "low": 0.5}
    more = {"high": 1.5, "relative": True, "better": "lower", "verdict": "worse"}
    return Figure(**{**plain, **more, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (figure(), ("1 ms", "+100.0 %", "+50.0 to +150.0 %")),
        (figure(unit="share", relative=False, a=0.5, change=-0.001, low=-0.002, high=-1e-9),
         ("50.00 %", "~0.10 points", "~0.20 to 0.00 points")),
        (figure(unit="", relative=False, a=0.87123, change=0.00499, low=None, high=None), ("0.8712", "+0.0050", "-")),
        (figure(a=None, change=None), ("-", "-", "+50.0 to +150.0 %")),
        (figure(a=123456.7), ("123,457 ms", "+100.0 %", "+50.0 to +150.0 %")),
    ],
)  # fmt: skip
def test_numbers_are_said_with_their_unit(of: Figure, told: tuple[str, str, str]) -> None:
    assert (number(of, of.a), change(of), interval(of)) == tuple(part.replace("~", "\N{MINUS SIGN}") for part in told)


def made(*, nasty: str = "") -> Report:
    of = recording()
    a, b = decided(of, 0.1), decided(of, 0.2, seed=2)
    times = np.random.default_rng(1).integers(900, 30_000, (4, 200)).tolist()
    sides = (side("A"), side("B", "decide.thresholds=[0.4, 0.9]"))
    return report_of(
        of, sides, [a, b], [played(times), played(times, 0.2)], Pace(8, 4), 100.0, Price(0.04, "USD"),
        seed=1, made_ms=1_600_000_000_000, settings={"": f"{nasty}file.parquet"}, tell=quiet,
    )  # fmt: skip


def test_the_page_needs_nothing_but_itself_and_escapes_what_it_is_given() -> None:
    page = page_of(made(nasty="<script>alert(1)</script>"))
    assert not re.search(r"https?://|src=|url\(|<link|<script", page)
    assert "&lt;script&gt;" in page
    assert "$" not in re.sub(r"\$\d", "", page)
    assert page.count('<svg viewBox="0 0 460') == 4
    assert page.count('class="bar"') > 10
    for text in ("average precision", "decide.thresholds", "no difference seen", "Changed most", "µs"):
        assert text in page
    assert "NaN" not in page
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", page)


def test_the_report_is_json_and_back() -> None:
    import msgspec

    report = made()
    assert msgspec.json.decode(report.encode(), type=Report) == report
    assert report.figure("ap") is not None
    assert report.figure("nothing") is None
