"""`headrace plan` as its user meets it: answers, files, and every mistake named."""

import json
import sys
from pathlib import Path

import pytest
from tiny_models import write_repository

from pipeline.cli.app import run
from pipeline.cli.plan_view import share
from pipeline.cli.progress import tell_sometimes
from pipeline.config.load import load

CURVES = {
    "us_a_row": {
        "fraud-gbt/1": {"1": 400.0, "8": 150.0, "64": 105.0, "128": 100.0},
        "fraud-lite/1": {"1": 20.0, "128": 0.5},
    },
    "noise": 0.1,
}
"""The best tier does 10,000 rows a second at most."""
ASKED = ["plan", "--rate", "12000", "--seconds", "1", "--partitions", "4"]


@pytest.fixture
def curve(tmp_path: Path) -> str:
    path = tmp_path / "curve.json"
    path.write_text(json.dumps(CURVES))
    return str(path)


def test_the_number_of_processes_is_said_and_the_same_each_time(
    curve: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ASKED, "--curve", curve]) == 0
    told = capsys.readouterr().out
    assert "fraud: 12,000 events/s, poisson, 1 s, seed 1, 4 partitions, budget 100 ms" in told
    assert "processes hold 0.999 scored by primary in time" in told
    assert "highest quarter" in told
    assert run([*ASKED, "--curve", curve]) == 0
    assert capsys.readouterr().out == told


def test_json_holds_every_forecast_and_the_answer(curve: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASKED, "--curve", curve, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    found = {it["processes"]: it for it in answer["forecasts"]}
    needed = answer["processes_needed"]
    assert found[needed]["good"] >= 0.999
    assert found[needed - 1]["good"] < 0.999
    assert set(found[needed]["tiers"]) == {"primary", "lite", "rule"}


def test_a_lower_tiers_score_counts_when_asked_for(curve: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*ASKED, "--curve", curve, "--slo", "0.2", "--any-tier"]
    assert run(arguments) == 0
    assert "0.2 scored by any tier in time" in capsys.readouterr().out


def test_an_slo_that_cannot_be_held_is_said(curve: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--rate", "60000", "--seconds", "1", "--partitions", "2", "--curve", curve]) == 0
    assert "No number of processes up to the 2 partitions holds 0.999" in capsys.readouterr().out
    assert run([*ASKED, "--rate", "60000", "--curve", curve, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["processes_needed"] is None


def test_a_number_that_is_given_is_not_searched(curve: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASKED, "--curve", curve, "--processes", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [it["processes"] for it in answer["forecasts"]] == [2]
    assert answer["processes_needed"] is None


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_plan_is_drawn(curve: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / f"plan.{ending}"
    assert run([*ASKED, "--curve", curve, "--processes", "1", "--plot", str(plot)]) == 0
    assert plot.stat().st_size > 10_000
    assert f"drawn into {plot}" in capsys.readouterr().err


def test_the_configured_models_are_measured_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_repository(tmp_path / "repository", tuple(load("fraud", environ={}).config.features))
    monkeypatch.setenv("HEADRACE_MODELS__FOLDER", str(folder))
    monkeypatch.setenv("HEADRACE_ENGINE__BUCKETS", "[1, 6]")
    kept = tmp_path / "kept.json"
    assert run([*ASKED, "--processes", "1", "--save-curve", str(kept), "--json"]) == 0
    measured = capsys.readouterr().out
    curves = json.loads(kept.read_text())["us_a_row"]
    assert {name: list(curve) for name, curve in curves.items()} == {
        "fraud-gbt/1": ["1", "2", "4", "6"],
        "fraud-lite/1": ["1", "2", "4", "6"],
    }
    assert json.loads(measured)["forecasts"][0]["events"] > 11_000
    assert run([*ASKED, "--processes", "1", "--curve", str(kept), "--json"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Missing option '--rate'"),
        (["--rate", "0"], "0.0 is not in the range x>0"),
        (["--rate", "many"], "'many' is not a valid float"),
        (["--rate", "9000", "--arrivals", "sometimes"], "'sometimes' is not one of 'poisson', 'bursty', 'diurnal'"),
        (["--rate", "9000", "--slo", "1.5"], "1.5 is not in the range 0<x<=1"),
        (["--rate", "9000", "--seconds", "0"], "0.0 is not in the range x>0"),
        (["--rate", "9000", "--partitions", "0"], "0 is not in the range 1<=x<=10000"),
        (["--rate", "9000", "--partitions", "2", "--processes", "3"], "--processes 3: 2 partitions keep at most"),
        (["--rate", "9000", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["--rate", "1", "--seconds", "9"], "9 events in 9 s are too few to tell a share from: raise --seconds"),
        (["--rate", "1e6", "--seconds", "60"], "60,000,000 events in 60 s are too many to simulate: lower --seconds"),
        (["--rate", "9000", "--curve", "nowhere.json"], "nowhere.json: cannot be read: No such file or directory"),
        (["--rate", "9000", "--plot", "plan.txt"], "--plot plan.txt: expected a name that ends in one of"),
        (["--rate", "9000", "--plot", "nowhere/plan.png"], "--plot nowhere/plan.png: there is no folder nowhere"),
        (["--rate", "9000", "--save-curve", "nowhere/c.json"], "--save-curve nowhere/c.json: there is no folder"),
        (["--rate", "9000", "--set", "pipeline.mode=replay"], "pipeline.mode: a replay has no deadlines"),
        (["--rate", "9000", "--set", "models.folder=nowhere"], "there is no model fraud-gbt/1"),
        (["--rate", "9000", "-c", "frawd"], "frawd: no such file"),
    ],
)
def test_what_cannot_be_planned_is_said_and_exits_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_plot_without_matplotlib_says_what_to_install(
    curve: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "pipeline.cli.plan_plot", raising=False)
    assert run([*ASKED, "--curve", curve, "--plot", "plan.png"]) == 2
    assert "matplotlib is not installed" in (told := capsys.readouterr().err)
    assert "pip install 'headrace[plot]'" in told
    assert run([*ASKED, "--curve", curve, "--processes", "1"]) == 0


def test_progress_is_silent_for_two_seconds_and_then_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 0.5, 1.9, 2.1, 2.1, 2.2, 4.0, 4.2, 4.2])
    tell = tell_sometimes(2.0, lambda: next(clock))
    for text in ("a", "b", "c", "d", "e", "f"):
        tell(text)
    assert capsys.readouterr().err.split() == ["c", "f"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1.0, "1"), (0.99999, "0.9999"), (1e-6, "0.0001"), (0.5, "0.5000")]
)
def test_a_share_is_never_rounded_to_all_or_nothing(value: float, text: str) -> None:
    assert share(value) == text
