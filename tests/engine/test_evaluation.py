"""`headrace evaluate` with the engine itself: the same is no difference, a lesser model is found worse."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.train.evaluate import average_precision, roc_auc
from pipeline.cli.app import run
from pipeline.cli.inputs import input_files
from pipeline.config.load import load
from pipeline.errors import HeadraceError
from pipeline.evaluation.member_process import MemberProcess
from pipeline.evaluation.side import Side
from pipeline.recorded import decisions_of
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population

POPULATION = Population(customers=700, terminals=900, terminals_near=20, seed=11)
START_MS = 1_577_836_800_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "events.parquet"
    pq.write_table(simulated_table(POPULATION, 24, START_MS), path)
    return path


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report, and its figures by name."""
    assert run(["evaluate", *arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    return report, {figure["name"]: figure for figure in report["figures"]}


def test_a_configuration_against_itself_shows_no_difference(
    events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        str(events),
        "--a",
        "fraud",
        "--b",
        "fraud",
        "--label-column",
        "fraud",
        "--rounds",
        "0",
        "--replays",
        "1",
    ]
    report, figures = evaluated(capsys, *arguments, "--out", str(tmp_path / "page.html"), "--from", "2020-01-15")
    compared = {name: figure for name, figure in figures.items() if figure["group"] in ("quality", "decisions")}
    assert {"auc", "ap", "cp100", "caught"} <= compared.keys()
    assert {figure["verdict"] for figure in compared.values()} == {"no difference seen"}
    assert {figure["change"] for figure in compared.values()} == {0}
    assert (report["agreement"]["flipped"], report["agreement"]["rank_correlation"]) == (0, pytest.approx(1))
    assert report["differing"] == []
    table = pq.read_table(events)
    judged = table.num_rows - int(report["recording"]["before, for state alone"].replace(",", ""))
    assert report["agreement"]["both"] == judged > 1000
    assert sum(report["a"]["answered"].values()) == table.num_rows
    # The score that is published has six decimals; else the engine's replay is the offline one.
    offline = offline_scores(events)[-judged:]
    fraud = table["fraud"].to_numpy()[-judged:]
    assert figures["auc"]["a"] == pytest.approx(roc_auc(fraud, offline), abs=2e-4)
    assert figures["ap"]["a"] == pytest.approx(average_precision(fraud, offline), abs=2e-4)


def offline_scores(events: Path) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """What `headrace replay --label-column fraud` scores, in the file's order."""
    config = load("fraud", environ={}).config
    tables = input_files(events, (), (), "fraud", "7d").open(config)
    return np.concatenate([batch["score"].to_numpy() for batch in decisions_of(config, tables)]).astype(np.float64)


def test_a_lesser_model_is_found_worse_and_the_page_tells_all(
    events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    arguments = ("--set-b", "tiers.primary.model=fraud-lite", "--label-column", "fraud", "--out", str(page))
    # Patience enough for a busy machine, where deadlines are not what is looked at.
    patient = (
        "--set",
        "pipeline.budget_ms=10000",
        "--seconds",
        "3",
        "--rounds",
        "3",
        "--rate",
        "1000",
        "--replays",
        "1",
    )
    report, figures = evaluated(capsys, str(events), "--a", "fraud", "--b", "fraud", *arguments, *patient)
    assert figures["ap"]["verdict"] == "worse"
    assert figures["ap"]["high"] < 0
    assert figures["good"]["a"] == figures["good"]["b"] == 1.0
    assert figures["cpu_us"]["a"] > 0
    assert figures["age_p50_ms"]["low"] < figures["age_p50_ms"]["change"] < figures["age_p50_ms"]["high"]
    assert report["agreement"]["flipped"] > 0
    assert report["agreement"]["changed"][0]["a"] != report["agreement"]["changed"][0]["b"]
    assert [sum(report[side]["outcomes"].values()) for side in ("a", "b")] == [3000, 3000]
    assert list(report["b"]["answered"]) == ["primary fraud-lite/1"]
    assert ["tiers.primary.model", "fraud-gbt", "fraud-lite"] in report["differing"]
    text = page.read_text()
    assert not re.search(r"https?://|src=|url\(|<script", text)
    assert "average precision" in text
    assert str(tmp_path) not in text


def test_what_a_side_says_last_is_told(embedded: Any) -> None:
    bootstrap = embedded({"transactions": 1})
    broken = Side("B", "fraud", ("engine.memory_bytes_max=1",), load("fraud", environ={}))
    told = pytest.raises(HeadraceError, match=r"B \(fraud: fraud-gbt/1 .*\) ended: .+")
    with MemberProcess(broken, bootstrap, replay=True) as member, told:
        member.wait(lambda told: any(one.ended for one in told), 120, "it did not end")
