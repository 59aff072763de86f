"""Each frame of each batch comes back once, scored by its own pixels or rejected, whatever thread it ran on."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rule import Rule
from models.repository import Repository
from models.session import CPU, ModelSession
from pipeline.batch import Batch
from pipeline.image.measures import MEASURES
from pipeline.rows import Rows
from pipeline.runner import Scored
from pipeline.scorer import InlineScorer, Scorer, ThreadScorer
from pipeline.servings import TierLabel
from pipeline.tier import ImageView, ModelTier, RuleTier, Tier
from tests.frames import CLASSES, image, probabilities, write_classifiers

LABEL = TierLabel("primary", "tiny", "1", CPU)
CAPACITY, BATCH_MAX = 64, 8
LEVELS = (10, 70, 128, 180, 250)
GOOD = {level: image(level) for level in LEVELS}
BAD = {-1: image(128, 64, 64)[:-90], -2: image(128)[:15], -3: b"nothing like it"}
HELD = {name: np.frombuffer(value, np.uint8) for name, value in {**GOOD, **BAD}.items()}


class Told:
    """A cost model that remembers what it was told."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def observe(self, rows: int, ns: int) -> None:
        self.runs.append((rows, ns))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> ModelSession:
    folder = write_classifiers(tmp_path_factory.mktemp("models"), ["tiny"])
    return ModelSession(Repository(folder).load("tiny", "1"), providers=[CPU], buckets=[1, BATCH_MAX])


def view_of(session: ModelSession, clean: int | None = CLASSES.index("clean")) -> ImageView:
    assert session.entry.manifest.image is not None
    return ImageView(session.entry.manifest.image, (0.0, 0.0, 1.0, 1.0), 100_000, CLASSES, clean)


def rows_of(kinds: list[int]) -> Rows:
    """A row for each kind, pointing to its bytes; what an earlier user of the slots left is nonsense."""
    rows = Rows(CAPACITY, 0, classes=len(CLASSES), measures=len(MEASURES))
    rows.score[:], rows.probabilities[:], rows.likeliest[:] = 7, 7, 2
    for slot, kind in enumerate(kinds):
        rows.payload_address[slot], rows.payload_length[slot] = HELD[kind].ctypes.data, len(HELD[kind])
    return rows


def finished(scorer: Scorer, batches: int) -> list[Scored]:
    done: list[Scored] = []
    until_s = time.monotonic() + 60
    while len(done) < batches:
        assert time.monotonic() < until_s
        scorer.pause(0.01)
        done += scorer.finished()
    return done


@given(st.lists(st.sampled_from(sorted(HELD)), min_size=1, max_size=CAPACITY), st.integers(0, 2), st.data())
@settings(max_examples=25)
def test_every_row_is_scored_or_rejected_once(session: ModelSession, kinds: list[int], threads: int, data) -> None:
    rows, cost = rows_of(kinds), Told()
    tiers: list[Tier] = [ModelTier("primary", session, cost, LABEL, (0.3, 0.7), view_of(session))]  # type: ignore[arg-type]
    scorer: Scorer = InlineScorer(rows, tiers, BATCH_MAX, time.monotonic_ns)
    if threads:
        scorer = ThreadScorer(rows, tiers, BATCH_MAX, threads, time.monotonic_ns, lambda: None)
    order = np.array(data.draw(st.permutations(range(len(kinds)))), np.int32)
    size = data.draw(st.integers(1, BATCH_MAX))
    batches = [Batch(0, order[at : at + size]) for at in range(0, len(order), size)]
    # A session is one thread's at a time: the engine gives each batch out when another has come back.
    done: list[Scored] = []
    for batch in batches:
        scorer.submit(batch)
        done += finished(scorer, 1)
    assert not scorer.busy()
    assert scorer.close()
    ended = [slot for one in done for slot in (*one.slots.tolist(), *(item.slot for item in one.rejected))]
    assert sorted(ended) == list(range(len(kinds)))
    assert [one.batch for one in done] == batches
    for one in done:
        assert all(kinds[slot] > 0 for slot in one.slots)
        assert all(kinds[item.slot] < 0 and item.reject.code for item in one.rejected)
        for slot in one.slots:
            wanted = probabilities(kinds[slot] / 255)
            assert rows.probabilities[slot] == pytest.approx(wanted, abs=0.05)
            assert rows.likeliest[slot] == wanted.argmax()
            assert rows.score[slot] == pytest.approx(1 - rows.probabilities[slot, 1], abs=1e-6)
            assert rows.measures[slot, 0] == pytest.approx(kinds[slot] / 255, abs=0.02)
    assert sorted(rows_told for rows_told, _ in cost.runs) == sorted(len(one.slots) for one in done if len(one.slots))


def test_without_a_clean_class_the_score_is_the_likeliest_ones(session: ModelSession) -> None:
    rows = rows_of([10, 128])
    tiers: list[Tier] = [ModelTier("primary", session, Told(), LABEL, (), view_of(session, None))]  # type: ignore[arg-type]
    scorer = InlineScorer(rows, tiers, BATCH_MAX, time.monotonic_ns)
    scorer.submit(Batch(0, np.array([0, 1], np.int32)))
    assert len(scorer.finished()[0].slots) == 2
    assert rows.score[:2].tolist() == rows.probabilities[:2].max(axis=1).tolist()


def test_what_is_lost_on_bad_frames_is_not_learned_as_the_cost_of_good_ones(session: ModelSession) -> None:
    rows, cost, clock = rows_of([128, -1, -3, 70]), Told(), iter(range(0, 10_000, 100))
    tiers: list[Tier] = [ModelTier("primary", session, cost, LABEL, (), view_of(session))]  # type: ignore[arg-type]
    scorer = InlineScorer(rows, tiers, BATCH_MAX, lambda: next(clock))
    scorer.submit(Batch(0, np.arange(4, dtype=np.int32)))
    (done,) = scorer.finished()
    assert (done.slots.tolist(), [item.slot for item in done.rejected]) == ([0, 3], [1, 2])
    assert cost.runs == [(2, done.cost_ns)]
    # Every look at the clock is 100 later: the batch's two, one for each frame and one more for each bad one.
    assert rows.score_ns[0] - done.cost_ns == 200
    scorer.submit(Batch(0, np.array([1, 2], np.int32)))
    (done,) = scorer.finished()
    assert len(done.slots) == 0
    assert len(cost.runs) == 1


def test_a_rule_tells_no_class(session: ModelSession) -> None:
    rows = rows_of([128])
    tiers: list[Tier] = [RuleTier("rule", Rule("rule", "0.5", ()), LABEL, ())]
    scorer = ThreadScorer(rows, tiers, BATCH_MAX, 1, time.monotonic_ns, lambda: None)
    scorer.submit(Batch(0, np.array([0], np.int32)))
    assert scorer.finished()[0].slots.tolist() == [0]
    assert (rows.score[0], rows.likeliest[0]) == (0.5, -1)
    assert scorer.close()


def test_a_session_that_still_reads_is_told_at_the_end() -> None:
    reading, enough = threading.Event(), threading.Event()

    class Slow:
        def run(self, rows: np.ndarray, out: np.ndarray) -> None:
            reading.set()
            enough.wait(60)

    tiers: list[Tier] = [ModelTier("primary", Slow(), Told(), LABEL, ())]  # type: ignore[arg-type]
    scorer = ThreadScorer(Rows(4, 1), tiers, BATCH_MAX, 1, time.monotonic_ns, lambda: None)
    scorer.submit(Batch(0, np.array([0], np.int32)))
    assert reading.wait(60)
    assert not scorer.close()
    enough.set()
    assert scorer.close()
