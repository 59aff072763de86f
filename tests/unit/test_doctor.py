"""The doctor's looks at this machine: each finds what is wrong with it, and says what to mend."""

import json
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiohttp import web
from tiny_models import write_repository

from models.repository import MODEL_FILE
from pipeline.cli.app import run
from pipeline.clock import SystemClock
from pipeline.config.http_section import HttpSection
from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.doctor import local
from pipeline.doctor.examine import features
from pipeline.doctor.finding import Finding, Grade
from pipeline.readings import health_of
from pipeline.telemetry import http_server
from pipeline.telemetry.health_routes import health_routes
from pipeline.telemetry.http_server import HttpServer

GIB = 1 << 30


def configured(*assignments: str) -> PipelineConfig:
    return load("fraud", environ={}, assignments=assignments).config


def only(findings: Iterable[Finding]) -> Finding:
    (found,) = findings
    assert bool(found.mend) == (found.grade is not Grade.OK), (
        "what is not good says what to mend, and nothing else does"
    )
    return found


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "repository", tuple(configured().features))


def test_models_that_are_as_they_were_made_are_good(repository: Path) -> None:
    found = list(local.models(configured(f"models.folder={repository}")))
    assert [(f.check, f.grade) for f in found] == [
        ("model fraud-gbt/1", Grade.OK),
        ("model fraud-lite/1", Grade.OK),
    ]


def test_a_model_whose_file_was_replaced_is_named(repository: Path) -> None:
    with (repository / "fraud-lite" / "1" / MODEL_FILE).open("ab") as file:
        file.write(b"more")
    good, bad = local.models(configured(f"models.folder={repository}"))
    assert (good.grade, bad.grade) == (Grade.OK, Grade.FAIL)
    assert "the manifest says" in bad.says


def test_a_model_that_is_not_there_is_named(repository: Path) -> None:
    shutil.rmtree(repository / "fraud-gbt")
    bad, _good = local.models(configured(f"models.folder={repository}"))
    assert bad.grade is Grade.FAIL
    assert "there is no model fraud-gbt/1" in bad.says


def test_a_provider_that_is_not_there_is_named(repository: Path) -> None:
    config = configured(f"models.folder={repository}")
    assert "primary = fraud-gbt/1 on CPUExecutionProvider" in only(local.sessions(config)).says
    cuda = config.tiers[0].model_copy(update={"providers": ("NoExecutionProvider",)})
    found = only(local.sessions(config.model_copy(update={"tiers": (cuda, *config.tiers[1:])})))
    assert found.grade is Grade.FAIL
    assert "provider NoExecutionProvider is not in this ONNX Runtime" in found.says


def test_a_feature_that_cannot_be_compiled_is_named() -> None:
    assert only(features(configured())).grade is Grade.OK
    found = only(features(configured('features.night={ call = "nowhere:f" }')))
    assert found.grade is Grade.FAIL
    assert "cannot import 'nowhere:f'" in found.says


def test_kernels_that_cannot_be_kept_cost_each_start_a_minute(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kernel").touch()
    (tmp_path / "file").touch()
    assert only(local.kernels(tmp_path / "full")).grade is Grade.OK
    assert "is empty" in only(local.kernels(tmp_path / "new")).says
    found = only(local.kernels(tmp_path / "file" / "below"))
    assert (found.grade, "cannot be written" in found.says) == (Grade.WARN, True)


def test_a_place_for_checkpoints_is_written_to_and_left_clean(tmp_path: Path) -> None:
    found = only(local.checkpoints(configured(f"checkpoint.url={tmp_path / 'kept'}")))
    assert found.grade is not Grade.FAIL
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


def test_a_place_that_is_none_for_checkpoints_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = only(local.checkpoints(configured(f"checkpoint.url={tmp_path / 'file' / 'below'}")))
    assert found.grade is Grade.FAIL
    assert "file/below" in found.says
    assert only(local.checkpoints(configured())).grade is Grade.WARN, "windows, and no checkpoints"


def test_a_bound_above_the_containers_is_none(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(f"{4 * GIB}\n")
    bounded = configured(f"engine.memory_bytes_max={2 * GIB}")
    assert only(local.memory(bounded, limit)).grade is Grade.OK
    found = only(local.memory(configured(), limit))
    assert found.grade is Grade.WARN
    assert found.says == "windows may take 8.0 GiB, the container has 4.0 GiB"
    assert found.mend.startswith(f"engine.memory_bytes_max = {3 * GIB} ")
    limit.write_text("max\n")
    assert "the machine has" in only(local.memory(bounded, limit)).says


def test_sessions_want_processors() -> None:
    threads = configured("engine.session=thread", "engine.sessions=3")
    assert only(local.processors(configured(), 1)).grade is Grade.OK
    assert only(local.processors(threads, 4)).grade is Grade.OK
    found = only(local.processors(threads, 2))
    assert (found.grade, found.says) == (Grade.WARN, "2 usable, 4 wanted: the loop and 3 sessions")


def test_a_port_that_another_program_has_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(local.http_port(configured("http.port=0"))).grade is Grade.OK
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(local, "ASK_S_MAX", 0.2)
        found = only(local.http_port(configured(f"http.port={port}")))
        assert found.grade is Grade.FAIL
        assert f"cannot listen on 127.0.0.1:{port}" in found.says
        for module in (local, http_server):
            monkeypatch.setattr(module, "PORTS", (port,))
        assert only(local.http_port(configured())).grade is Grade.WARN
    assert only(local.http_port(configured("http.enabled=false"))).grade is Grade.WARN


def test_a_port_that_a_pipeline_of_ours_has_is_its_own() -> None:
    clock = SystemClock()
    health = health_of(configured(), clock.instant())
    with HttpServer(HttpSection(port=0), health_routes(health, clock.instant)) as server:
        port = server.url.rsplit(":", 1)[1].strip("/")
        found = only(local.http_port(configured(f"http.port={port}")))
    assert (found.grade, found.says) == (
        Grade.OK,
        f"127.0.0.1:{port} is a headrace process's, which is starting",
    )


def test_what_answers_in_json_is_no_pipeline_for_that() -> None:
    async def other(_request: web.Request) -> web.Response:
        return web.json_response([1])

    with HttpServer(HttpSection(port=0), [web.get("/readyz", other)]) as server:
        port = server.url.rsplit(":", 1)[1].strip("/")
        assert only(local.http_port(configured(f"http.port={port}"))).grade is Grade.FAIL


def test_a_configuration_that_cannot_be_read_is_the_first_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json", "--set", "pipeline.budgt_ms=1"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    (finding,) = told["findings"]
    assert (finding["check"], finding["grade"]) == ("configuration", "fail")
    assert 'did you mean "budget_ms"' in finding["says"]


def test_a_cluster_that_does_not_answer_is_named_and_the_rest_told(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--bootstrap", "localhost:1", "--set", "engine.request_ms_max=300", "--set", "http.port=0"]
    assert run(["doctor", "--json", *arguments, "--set", f"models.folder={repository}"]) == 1
    told = json.loads(capsys.readouterr().out)
    grades = {finding["check"]: finding["grade"] for finding in told["findings"]}
    assert [check for check, grade in grades.items() if grade == "fail"] == ["broker"]
    assert {"configuration", "features", "sessions", "memory", "processors", "http port", "kernel cache"} <= set(
        grades
    )
    assert run(["doctor", *arguments, "--set", f"models.folder={repository}"]) == 1
    shown = capsys.readouterr().out
    assert "-> address, network, TLS and password" in shown
    assert shown.splitlines()[-1].endswith("1 fail")
