"""Decisions that say why: by the features that they carry beside it, for the labels that asked, and for no others."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.explain import Explainer
from models.manifest import ModelError, read_manifest, write_manifest
from models.repository import Repository
from models.trees import TREES_FILE, read_trees
from pipeline.config.problems import ConfigError
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from pipeline.tiers import open_tiers
from tests.traffic import configured, decisions, run_until, send, transaction_records

Start = Callable[[dict[str, int]], str]
POPULATION = Population(customers=120, terminals=60, terminals_near=12, seed=3)
START_MS = 1_577_836_800_000
TOPICS = {"transactions": 2, "labels": 1, "decisions": 1, "dead-letters": 1, "metrics": 1}
EVEN = "decide.thresholds=[0.001, 0.02]"
"""So that each label has its part of a young stream."""


def decided(start: Start, *more: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    bootstrap = start(TOPICS)
    records = transaction_records(simulated_table(POPULATION, 12, START_MS))
    send(bootstrap, "transactions", records)
    settings = ("publish.features=true", EVEN, 'explain.decisions=["decline", "review"]', *more)
    summary = run_until(configured(bootstrap, *settings), len(records))
    assert summary.drained
    return decisions(bootstrap, "decisions", len(records)), summary.totals.counts


def explainer_of(model: str) -> tuple[Explainer, list[str]]:
    entry = Repository.shipped().load(model, "1")
    path = entry.beside(TREES_FILE)
    assert path is not None
    names = list(entry.manifest.inputs)
    return Explainer(read_trees(path, len(names))), names


@pytest.mark.parametrize("session", ["inline", "thread"])
def test_reasons_are_the_models_own_largest_first(embedded: Start, session: str) -> None:
    told, counts = decided(embedded, "explain.top=2", "explain.budget_share=1.0", f"engine.session={session}")
    asked = [row for row in told if row["decision"] != "approve"]
    explained = [row for row in asked if "reasons" in row]
    assert {row["decision"] for row in told} == {"approve", "review", "decline"}
    assert not any("reasons" in row for row in told if row["decision"] == "approve")
    assert counts["reasons"] == len(explained) > 100
    assert counts["reasons"] + counts["reasons_skipped"] == len(asked)
    explainer, names = explainer_of("fraud-gbt")
    rows = np.array([[row["features"][name] for name in names] for row in explained], np.float32)
    whole = explainer.contributions(rows)
    assert {row["model"] for row in explained} == {"fraud-gbt"}
    for row, found in zip(explained, whole, strict=True):
        best = np.argsort(-np.abs(found), kind="stable")[:2]
        assert [value for _, value in row["reasons"]] == pytest.approx(found[best], abs=1e-5)
        assert [found[names.index(name)] for name, _ in row["reasons"]] == pytest.approx(found[best], abs=1e-6)
        log_odds = np.log(row["score"] / (1 - row["score"]))
        assert found.sum() + explainer.bias == pytest.approx(log_odds, abs=2e-3)  # the score has six decimals


def test_a_replay_explains_all(embedded: Start) -> None:
    told, counts = decided(embedded, "pipeline.mode=replay", "explain.budget_share=0.001")
    asked = [row for row in told if row["decision"] != "approve"]
    assert all(len(row["reasons"]) == 3 for row in asked)
    assert (counts["reasons"], counts["reasons_skipped"]) == (len(asked), 0)
    assert counts["reasons_us"] > 0


def test_in_a_cascade_a_row_is_explained_by_the_model_that_answered_it(embedded: Start) -> None:
    sure = ("cascade.first=lite", "cascade.sure_below=0.002", "cascade.sure_above=0.05", "cascade.audit_share=0.0")
    told, counts = decided(embedded, "explain.budget_share=1.0", *sure)
    asked = [row for row in told if row["decision"] != "approve" and "reasons" in row]
    assert {row["model"] for row in asked} == {"fraud-gbt", "fraud-lite"}
    assert counts["reasons"] == len(asked)
    for model in ("fraud-gbt", "fraud-lite"):
        explainer, names = explainer_of(model)
        own = [row for row in asked if row["model"] == model]
        rows = np.array([[row["features"][name] for name in names] for row in own], np.float32)
        for row, whole in zip(own, explainer.contributions(rows), strict=True):
            name, value = row["reasons"][0]
            assert abs(value) == pytest.approx(np.abs(whole).max(), abs=1e-5)
            assert whole[names.index(name)] == pytest.approx(value, abs=1e-5)


def test_what_an_override_found_comes_before_the_models_reasons(embedded: Start, tmp_path: Path) -> None:
    from pipeline.config.load import find, load
    from tests.traffic import assignments

    file = tmp_path / "fraud.toml"
    rule = '\n[[overrides]]\nfeature = "amount"\nabove = 60.0\ndecision = "decline"\nreason = "amount"\n'
    file.write_text(find("fraud").read_text() + rule)
    bootstrap = embedded(TOPICS)
    records = transaction_records(simulated_table(POPULATION, 3, START_MS))
    send(bootstrap, "transactions", records)
    asked = ('explain.decisions=["decline"]', "pipeline.mode=replay", "publish.features=true")
    config = load(str(file), environ={}, assignments=assignments(bootstrap, *asked)).config
    assert run_until(config, len(records)).drained
    told = decisions(bootstrap, "decisions", len(records))
    dear = [row for row in told if row["features"]["amount"] > 60.0]
    assert len(dear) > 20
    for row in dear:
        assert row["decision"] == "decline"
        assert row["reasons"][0] == ["amount", pytest.approx(row["features"]["amount"], abs=1e-4)]
        assert len(row["reasons"]) == 4


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ('explain.decisions=["maybe"]', "explain.decisions: 'maybe' is none of the labels approve, review, decline"),
        ('explain.decisions=["review", "review"]', "has a label twice"),
        ("explain.top=0", "explain.top: found 0"),
        ("explain.share=0.1", 'unknown key, did you mean "budget_share"'),
    ],
)
def test_an_explain_table_that_makes_no_sense_is_refused(assignment: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        configured("nowhere:1", assignment)


def test_frames_cannot_be_explained() -> None:
    from pipeline.config.load import load

    with pytest.raises(ConfigError, match="only models of features can be explained, the topic holds images"):
        load("vision", environ={}, assignments=['explain.decisions=["reject"]'])


def test_a_tier_whose_model_has_no_trees_is_named(tmp_path: Path) -> None:
    shutil.copytree(Repository.shipped().folder, tmp_path / "models")
    path = tmp_path / "models" / "fraud-lite" / "1" / "manifest.toml"
    write_manifest(path, read_manifest(path).model_copy(update={"files": {}}))
    plain = configured("nowhere:1", f"models.folder={tmp_path / 'models'}", "engine.buckets=[1]")
    assert len(open_tiers(plain, tuple(plain.features))) == 3
    asked = configured(
        "nowhere:1", f"models.folder={tmp_path / 'models'}", "engine.buckets=[1]", 'explain.decisions=["decline"]'
    )
    with pytest.raises(ModelError, match=r"fraud-lite/1/model.onnx: no trees.json lies beside it, which \[explain\]"):
        open_tiers(asked, tuple(asked.features))
