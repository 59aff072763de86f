"""One tier in the loop: who answers in it, what is seen of a candidate, and what follows from that."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.answering import Answerer, Answerers, Answering
from pipeline.clock import NS_PER_MS, Instant
from pipeline.config.rollout_section import RolloutSection
from pipeline.rollout.course import next_share, promoted, rolled_back, shared
from pipeline.rollout.evidence import CANDIDATE, STABLE, Evidence
from pipeline.rollout.judge import Looks, Rules, failed, judged
from pipeline.rollout.keys import KeyPlaces, seed_of
from pipeline.rollout.shadow import ShadowRows
from pipeline.rollout.standing_cost import StandingCost
from pipeline.rollout.told import Change
from pipeline.rows import Rows
from pipeline.runner import Scored
from pipeline.servings import Serving, Servings, own_serving
from pipeline.tier import ModelTier, Tier
from pipeline.wire.rollout import RolloutRecord

RUN_FLOOR_NS = 200_000
"""Above what the rule allows, a run of a candidate may take so much longer: a few rows on a cold cache do."""
PROBE_NS = 1_000 * NS_PER_MS
"""A version that seems too slow for the time there is may be quicker than it is known to be: one row shows."""
ASK_AGAIN_NS = 30_000 * NS_PER_MS


@dataclass(frozen=True)
class LoopParts:
    """What of the loop a rollout changes or reads."""

    rows: Rows
    tiers: list[Tier]
    """Of the process: the entry of a tier is replaced when its stable version is another one."""
    servings: Servings
    answerers: Answerers
    places: KeyPlaces
    labels: int
    """How many decisions there are."""


def rules_of(section: RolloutSection) -> Rules:
    """What is allowed, as configured."""
    return Rules(
        section.false_alarm,
        section.score_ks_max,
        section.decision_share_max,
        section.cost_ratio_max,
        section.not_finite_max,
        section.errors_max,
    )


class TierRollout:
    """Belongs to the loop's thread. `now` is what is in force in this process; `stable` is the model that begins.

    The tier's cost is a StandingCost. What a rule asks for is returned as the record to write, with neither time nor
    author; of these a rollback is in force here at once, all others when they come back as a Change.
    """

    def __init__(
        self, number: int, stable: ModelTier, now: RolloutRecord, section: RolloutSection, parts: LoopParts
    ) -> None:
        self.number = number
        self.now = now
        self._section = section
        self._rules = rules_of(section)
        self._parts = parts
        own = parts.tiers[number]
        assert isinstance(own, ModelTier)
        assert isinstance(own.cost, StandingCost)
        self._cost = own.cost
        self._stable = Answerer(own_serving(number), stable)
        self._candidate: Answerer | None = None
        self._over: set[str] = set()
        self._spared_ns = 0
        self._marked: NDArray[np.bool_] = np.zeros(parts.rows.capacity_rows, np.bool_)
        self.skipped_rows = self.shadow_rows = 0
        self._begin_step(0)

    @property
    def stable(self) -> ModelTier:
        """Who answers, but for the candidate's share."""
        return _model(self._stable)

    @property
    def candidate(self) -> ModelTier | None:
        """Who is beside it."""
        return None if self._candidate is None else _model(self._candidate)

    def _begin_step(self, now_ns: int) -> None:
        """What is seen from now on is seen of what is in force now."""
        self.evidence = Evidence(self._parts.labels)
        self.pairs = Evidence(self._parts.labels)
        """Of rows that both versions have scored."""
        self._looks, self._pair_looks = Looks(), Looks()
        self._began_ns = now_ns
        self._asked_ns: int | None = None
        self._seed = seed_of(self.now.rollout)
        self._usual = deepcopy(self._cost.now) if self._candidate is not None else self._cost.now
        """What the stable version takes by itself."""
        wanted = self._candidate is not None and self.stable.view is None
        columns = self._parts.rows.features32.shape[1]
        self._copies = ShadowRows(columns, self._section.shadow_rows_max) if wanted else None

    @property
    def seen_rows(self) -> int:
        """Rows that the candidate has scored in this step."""
        return (self.pairs if self.now.shadow else self.evidence).candidate_rows

    def take(self, change: Change, now_ns: int) -> bool:
        """From the next batch on this is in force; False for what is over already."""
        record = change.record
        if record.candidate is not None and record.rollout in self._over:
            return False
        stable = self._answerer(change.stable)
        candidate = None if change.candidate is None else self._answerer(change.candidate)
        if record.event == "rolled_back":
            self._over.add(record.rollout)
        again = (record.stable, record.candidate, record.share, record.shadow, record.rollout) == (
            self.now.stable,
            self.now.candidate,
            self.now.share,
            self.now.shadow,
            self.now.rollout,
        )
        self.now = record
        self._answer(stable, candidate)
        if not again:
            self._begin_step(now_ns)
        return True

    def _answerer(self, tier: ModelTier) -> Answerer:
        """The one that it is already, or a new one with a number of its own."""
        for known in (self._stable, self._candidate):
            if known is not None and known.tier is tier:
                return known
        thresholds = tuple(self._parts.tiers[self.number].thresholds)
        serving = Serving(tier.label, self.number, self.number > 0, thresholds, tier.explainer)
        return Answerer(self._parts.servings.add(serving), tier)

    def _answer(self, stable: Answerer, candidate: Answerer | None) -> None:
        share, seed, places = self.now.share, seed_of(self.now.rollout), self._parts.places
        if stable is not self._stable:
            tier = _model(stable)
            self._cost.become(tier.cost)
            self._parts.tiers[self.number] = replace(tier, cost=self._cost)
        self._stable, self._candidate = stable, candidate

        def choose(slots: NDArray[np.int32]) -> NDArray[np.bool_]:
            chosen: NDArray[np.bool_] = places.of(slots, seed)[0] < share
            return chosen

        beside = candidate if share else None
        self._parts.answerers.change(self.number, Answering(stable, beside, choose if share else None))

    def scored(self, done: Scored, slots: NDArray[np.int32]) -> RolloutRecord | None:
        """A batch of the tier was scored and these rows of it are decided; what follows, if anything."""
        if self._candidate is None or not len(slots):
            return None
        rows, group = self._parts.rows, self._parts.places.of(slots, self._seed)[1]
        self._learn(done)
        theirs = np.zeros(len(slots), np.bool_)
        if done.tried is not None:
            self._marked[done.tried.slots] = True
            theirs = self._marked[slots]
            self._marked[done.tried.slots] = False
        if self.now.shadow:
            self._copy(slots, group, ~theirs)
            return None
        score, decision = rows.score[slots], rows.decision[slots]
        for side, mine in ((STABLE, ~theirs), (CANDIDATE, theirs)):
            if mine.any():
                self.evidence.told(side, score[mine], decision[mine], group[mine])
        self._copy(slots, group, theirs)
        return self._judge()

    def _learn(self, done: Scored) -> None:
        """The tier's cost has the whole batch; what each version took is learned apart."""
        tried = done.tried
        if tried is None:
            self._usual.observe(done.cost_rows, done.cost_ns)
            return
        rows = done.cost_rows - tried.cost_rows
        if rows and tried.error is None:
            self._usual.observe(rows, done.cost_ns - tried.cost_ns)
        if tried.error is not None:
            self.evidence.failed(tried.asked, errors=1)
        elif tried.not_finite:
            self.evidence.failed(tried.not_finite, not_finite=tried.not_finite)
        if tried.cost_rows:
            self._ran(tried.cost_rows, tried.cost_ns)

    def _ran(self, count: int, took_ns: int) -> None:
        candidate = self.candidate
        assert candidate is not None
        candidate.cost.observe(count, took_ns)
        usual_ns = self._usual.expected_ns(count)
        self.evidence.ran(slow=took_ns > self._rules.cost_ratio_max * usual_ns + RUN_FLOOR_NS)

    def _copy(self, slots: NDArray[np.int32], group: NDArray[np.int64], mine: NDArray[np.bool_]) -> None:
        """Rows that both versions are to score: those that this one has answered, as many as there is room for."""
        copies, wanted = self._copies, int(np.count_nonzero(mine))
        taken = 0 if copies is None else min(copies.room(), wanted)
        self.skipped_rows += wanted - taken
        if copies is not None and taken:
            copies.copy(self._parts.rows, slots[mine][:taken], group[mine][:taken])

    def _judge(self) -> RolloutRecord | None:
        why = failed(self.evidence, self._rules)
        for evidence, looks, paired in ((self.evidence, self._looks, False), (self.pairs, self._pair_looks, True)):
            if why is None and (part := looks.due(evidence.candidate_rows)):
                why = judged(evidence, self._rules, part / 2.0, paired=paired)
        return None if why is None else self._go_back(why)

    def _go_back(self, why: str) -> RolloutRecord:
        """At once, here; the others follow when they read it."""
        self._over.add(self.now.rollout)
        self.now = rolled_back(self.now, why)
        self._answer(self._stable, None)
        self._copies = None
        return self.now

    def spare(self, limit_ns: int, now_ns: Callable[[], int]) -> tuple[int, RolloutRecord | None]:
        """The loop has nothing to do for so long: rows that the other version scored, and what follows, if anything.

        That is the candidate in shadow, and else the stable version, of rows that the candidate has answered.
        """
        copies, other = self._copies, self.candidate if self.now.shadow else self.stable
        if copies is None or other is None or not copies.waiting:
            return 0, None
        started_ns = now_ns()
        count = copies.rows_within(other, min(limit_ns, self._section.shadow_run_us_max * 1000))
        if not count and started_ns - self._spared_ns > PROBE_NS and other.cost.expected_ns(1) <= limit_ns:
            count = 1
        if not count:
            return 0, None
        self._spared_ns = started_ns
        try:
            pairs = copies.score(other, count)
        except Exception:  # ONNX Runtime's own exceptions have no common class; how often is what counts
            self.evidence.failed(count, errors=1)
            return count, self._judge()
        took_ns = now_ns() - started_ns
        if self.now.shadow:
            self._ran(count, took_ns)
        else:
            other.cost.observe(count, took_ns)
        self.shadow_rows += count
        decision = pairs.other_decision(np.array(self._parts.tiers[self.number].thresholds, np.float32))
        given, told = (STABLE, CANDIDATE) if self.now.shadow else (CANDIDATE, STABLE)
        self.pairs.told(given, pairs.given, pairs.decision, pairs.group)
        self.pairs.told(told, pairs.other, decision, pairs.group)
        self.evidence.failed(0, not_finite=count - int(np.isfinite(pairs.other).sum()) if self.now.shadow else 0)
        return count, self._judge()

    def due(self, now: Instant) -> RolloutRecord | None:
        """The next step when its time has come: asked for once, and again when nothing came of that."""
        section, now_ns = self._section, now.mono_ns
        if self._candidate is None or not self.now.auto:
            return None
        if self.seen_rows < section.step_rows_min:
            return None
        if now_ns - self._began_ns < section.step_s_min * 1000 * NS_PER_MS:
            return None
        if self._asked_ns is not None and now_ns - self._asked_ns < ASK_AGAIN_NS:
            return None
        self._asked_ns = now_ns
        seen = f"{self.seen_rows} rows, nothing found"
        share = next_share(section.steps, self.now.share)
        return promoted(self.now, reason=seen) if share is None else shared(self.now, share, seen)


def _model(who: Answerer) -> ModelTier:
    assert isinstance(who.tier, ModelTier)
    return who.tier
