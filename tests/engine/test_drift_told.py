"""A young stream is not what the shipped model was made with, and the process says which features are not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.manifest import ModelError, read_manifest, write_manifest
from models.reference import read_reference
from models.repository import Repository
from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from pipeline.tiers import open_tiers
from tests.told import Running, free_port
from tests.traffic import configured, send, transaction_records

POPULATION = Population(customers=300, terminals=60, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000
TOPICS = {"transactions": 2, "labels": 1, "decisions": 2, "dead-letters": 1, "metrics": 1}
SHORT = ("drift.enabled=true", "drift.every_rows=1", "drift.window=2s", "drift.panes=2", "drift.rows_min=500")


def test_what_has_drifted_is_told_by_name(
    embedded: Callable[[dict[str, int]], str], caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap = embedded(TOPICS)
    records = transaction_records(simulated_table(POPULATION, 7, START_MS))
    process = Running(configured(bootstrap, f"http.port={free_port()}", *SHORT))
    try:
        process.wait(lambda: process.ask("/readyz")[0] == 200)
        send(bootstrap, "transactions", records)
        process.wait(lambda: process.metric("headrace_drift_found", of="customer_count_30d") == 1)
        assert process.metric("headrace_drift_rows") > 500
        assert process.metric("headrace_drift_psi", of="customer_count_30d") > 1
        assert process.metric("headrace_drift_ks", of="customer_count_30d") > 0.5
        assert process.metric("headrace_drift_found", of="amount") == 0
    finally:
        process.end()
    assert "customer_count_30d is not what fraud-gbt/1 was made with" in caplog.text


@pytest.mark.parametrize(
    ("pipeline", "assignments", "told"),
    [
        ("vision", ["drift.enabled=true"], "only features have a reference, the topic holds images"),
        ("fraud", ["drift.enabled=true", "pipeline.mode=replay"], "its window is of the clock"),
        (
            "fraud",
            ["drift.enabled=true", 'features.score={ expression = "amount" }'],
            "a feature is named 'score', as the model's own is",
        ),
        ("fraud", ["drift.window=10s"], "window is 10000 ms in 24 panes, expected at least a second"),
        ("fraud", ["drift.window=10"], "expected a duration"),
        ("fraud", ["drift.psi=0.1"], 'did you mean "psi_max"'),
    ],
)
def test_a_drift_table_that_makes_no_sense_is_refused(pipeline: str, assignments: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(pipeline, environ={}, assignments=assignments)


def test_a_model_without_a_reference_is_named(tmp_path: Path) -> None:
    shutil.copytree(Repository.shipped().folder, tmp_path / "models")
    path = tmp_path / "models" / "fraud-gbt" / "1" / "manifest.toml"
    write_manifest(path, read_manifest(path).model_copy(update={"files": {}}))
    asked = configured(
        "nowhere:1", f"models.folder={tmp_path / 'models'}", "engine.buckets=[1]", "drift.enabled=true"
    )
    with pytest.raises(ModelError, match=r"fraud-gbt/1/model.onnx: no reference.json lies .* which \[drift\]"):
        open_tiers(asked, tuple(asked.features))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"v":1', '"v":2', "version 2, expected 1"),
        ('"edges"', '"edge"', "missing required field|unknown field"),
        ('"amount"', '"amounts"', "it is about amounts, weekend"),
        ('"weekend":{"edges":[0.0]', '"weekend":{"edges":[0.0,0.0]', "weekend: expected rising edges and a count"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    entry = Repository.shipped().load("fraud-gbt", "1")
    path = entry.beside("reference.json")
    assert path is not None
    whole = read_reference(path, entry.manifest.inputs)
    assert whole.encode() == path.read_bytes()
    text = path.read_text()
    assert old in text
    (tmp_path / "reference.json").write_text(text.replace(old, new, 1))
    with pytest.raises(ModelError, match=rf"reference.json: .*({told})"):
        read_reference(tmp_path / "reference.json", entry.manifest.inputs)
    with pytest.raises(ModelError, match="there is no reference"):
        read_reference(tmp_path / "none.json", entry.manifest.inputs)
