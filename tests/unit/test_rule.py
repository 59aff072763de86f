"""A rule: a score by arithmetic on features, and where a configuration may have one."""

from pathlib import Path

import numpy as np
import pytest

import pipeline
from features.rule import Rule
from pipeline.config.load import load
from pipeline.config.problems import ConfigError

NAMES = ("amount", "night", "risk")


def test_it_scores_the_slots_it_is_given_and_no_others():
    features = np.array([[100.0, 0.0, 0.5], [900.0, 1.0, 0.0], [250.0, 1.0, 0.25]])
    score = np.full(3, -1.0, np.float32)
    Rule("rule", "min(1, amount / 500 + risk * night)", NAMES).score(features, np.array([2, 0], np.int32), score)
    assert score.tolist() == [pytest.approx(0.2), -1.0, pytest.approx(0.75)]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("amuont / 5", "rule: no feature 'amuont'; there are amount, night, risk"),
        ("open('x')", "no function 'open'"),
        ("amount /", "is not an expression"),
    ],
)
def test_what_a_rule_cannot_be_is_told(rule, told):
    with pytest.raises(ValueError, match=told):
        Rule("rule", rule, NAMES)


SHIPPED = Path(pipeline.__file__).parent / "configs" / "fraud.toml"
MODEL = 'name = "primary"\nmodel = "fraud-gbt"'


@pytest.mark.parametrize(
    ("tiers", "told"),
    [
        ((MODEL, 'name = "rule"\nrule = "amount"\nmodel = "fraud-lite"'), "either model or rule, found both"),
        ((MODEL, 'name = "rule"'), "expected either model or rule, found none"),
        (('name = "rule"\nrule = "amount"',), "expected a model first"),
        ((MODEL, 'name = "rule"\nrule = "amount"', 'name = "lite"\nmodel = "fraud-lite"'), "if any, last"),
        ((MODEL, 'name = "rule"\nrule = "amount"\nthresholds = [0.5]'), "has 1 thresholds, expected 2"),
        ((MODEL, 'name = "rule"\nrule = "amount"\nthresholds = [0.5, 0.5]'), "expected rising numbers"),
    ],
)
def test_a_ladder_that_cannot_be_is_refused(tmp_path, tiers, told):
    head, *_ = SHIPPED.read_text().split("[[tiers]]")
    tail = SHIPPED.read_text()[SHIPPED.read_text().index("[decide]") :]
    path = tmp_path / "own.toml"
    path.write_text(head + "".join(f"[[tiers]]\n{tier}\n" for tier in tiers) + tail)
    with pytest.raises(ConfigError, match=told):
        load(str(path), environ={})


def test_more_sessions_than_the_loop_has_are_refused():
    with pytest.raises(ConfigError, match='expected 1 with session = "inline", found 2'):
        load("fraud", environ={}, assignments=["engine.sessions=2"])
