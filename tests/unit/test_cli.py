"""The command line as a shell script meets it: output, messages and exit codes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import write_repository

from pipeline.cli.app import COMMANDS, SUMMARIES, run
from pipeline.cli.exit_codes import EPILOG, ExitCode
from pipeline.config.load import load
from pipeline.kafka.embedded import EmbeddedCluster

NOWHERE = "localhost:1"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_repository(tmp_path / "repository", tuple(load("fraud", environ={}).config.features))
    monkeypatch.setenv("HEADRACE_MODELS__FOLDER", str(folder))
    return folder


def test_help_lists_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in COMMANDS)
    assert all(f"\n  {int(code)} " in EPILOG for code in ExitCode)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_begins_with_its_summary(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: headrace {name}")
    assert SUMMARIES[name]


def test_help_loads_no_compiler_and_no_client() -> None:
    program = (
        "import sys; from pipeline.cli.app import run; run(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('numba', 'confluent_kafka', 'onnxruntime', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rum"], "No such command 'rum'"),
        (["config", "show", "-c", "frawd"], "headrace: frawd: no such file, and the shipped pipelines are"),
        (["config", "show", "--set", "pipeline.budgt_ms=1"], 'did you mean "budget_ms"'),
        (["run", "--set", "pipeline.budget_ms=100ms"], "expected a whole number of milliseconds"),
        (["topics", "create", "--retention", "1w"], "found '1w', expected a duration such as"),
        (["simulate", "--rate", "0"], "--rate 0 sends as fast as possible and needs --count"),
        (["config", "check", "--set", 'features.night={ call = "nowhere:f" }'], "cannot import 'nowhere:f'"),
        (["config", "check", "--set", "models.folder=nowhere"], "there is no model fraud-gbt/1"),
    ],
)
def test_what_is_not_usable_is_said_and_exits_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_setting_that_kafka_does_not_know_is_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "--set", "kafka.bootstrap.serverz=x"]) == 2
    assert "bootstrap.serverz" in capsys.readouterr().err


def test_a_model_with_other_inputs_is_told_apart(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "--set", 'features.extra={ expression = "amount * 2" }']) == 2
    assert "extra" in capsys.readouterr().err


def test_a_usable_configuration_says_what_will_run(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check"]) == 0
    told = capsys.readouterr().out
    assert "15 features, windows over 2 entities" in told
    assert "primary = fraud-gbt/1 on CPUExecutionProvider" in told


def test_a_cluster_that_does_not_answer_exits_3_naming_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "topics create"):
        began_s = time.monotonic()
        limit = ["--set", "engine.request_ms_max=300"]
        assert run([*command.split(), "--bootstrap", NOWHERE, *limit]) == 3
        assert f"no broker answers at {NOWHERE} within 300 ms" in capsys.readouterr().err
        assert time.monotonic() - began_s < 10, "the limit was not kept"


def test_topics_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedCluster({"transactions": 1, "labels": 1, "decisions": 1}) as cluster:
        assert run(["run", "--bootstrap", cluster.bootstrap]) == 2
        assert "no topic dead-letters, metrics" in capsys.readouterr().err


def test_values_in_force_can_be_read_by_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--json", "--set", "pipeline.budget_ms=7"]) == 0
    rows = json.loads(capsys.readouterr().out)
    found = {row["key"]: (row["value"], row["origin"]) for row in rows}
    assert found["pipeline.budget_ms"] == (7, "command line --set pipeline.budget_ms")
    assert found['kafka."group.id"'][0] == "headrace-fraud"


def test_models_are_listed_with_their_quality(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--folder", str(repository)]) == 0
    assert "fraud-gbt/1  sum, 15 inputs, auc 0.500, trained 2026-02-03" in capsys.readouterr().out


def test_a_damaged_model_is_not_listed_as_good(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = repository / "fraud-gbt" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert run(["models", "list", "--folder", str(repository)]) == 2
    assert "sha256" in capsys.readouterr().err
