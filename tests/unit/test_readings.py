"""What is read off the parts: what models take against what was expected of them, and clocks that disagree."""

import numpy as np
import pytest

from features.rule import Rule
from models.cost import CostModel
from pipeline.intake import IntakeCounts
from pipeline.scoring import costs, promises
from pipeline.servings import TierLabel
from pipeline.tier import ModelTier, RuleTier


class Silent:
    def run(self, rows: np.ndarray, out: np.ndarray) -> None:
        raise AssertionError("nobody asked")


def model(name: str, cost: CostModel) -> ModelTier:
    return ModelTier(name, Silent(), cost, TierLabel(name, "m", "1", "CPU"), (0.5,))


def test_runs_are_told_by_tier_and_together() -> None:
    first, second = CostModel([1, 8]), CostModel([8])
    first.seed(8, [1_000_000])
    for cost, runs_ns in ((first, [1_000_000, 9_000_000]), (second, [2_000_000])):
        for ns in runs_ns:
            cost.observe(8, ns)
    rule = RuleTier("rule", Rule("rule", "1", ()), TierLabel("rule", None, None, None), (0.5,))
    counts = promises([model("primary", first), model("lite", second), rule])
    assert (counts["runs"], counts["runs/primary"], counts["runs/lite"]) == (3, 2, 1)
    assert (counts["promises_broken"], counts["promises_broken/primary"]) == (1, 1)
    assert counts["run_us/primary"] == 10_000
    assert counts["run_expected_us/primary"] == pytest.approx(2_000, rel=0.01)
    assert "runs/rule" not in counts


def test_costs_are_told_by_tier_and_size() -> None:
    cost = CostModel([1, 8])
    cost.seed(1, [200_000])
    cost.seed(8, [1_000_000])
    levels = costs([model("primary", cost)])
    assert levels == {
        "cost_expected_us/primary/1": 200,
        "cost_promised_us/primary/1": 400,
        "cost_expected_us/primary/8": 1000,
        "cost_promised_us/primary/8": 2000,
    }


def test_how_far_records_were_ahead_is_told_once() -> None:
    counts = IntakeCounts(ahead_ms=70)
    assert (counts.take_ahead_ms(), counts.take_ahead_ms()) == (70, 0)
