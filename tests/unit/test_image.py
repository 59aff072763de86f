"""What the image is built from agrees with the package, without building it."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def image_requirements() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_requirements", IMAGE / "requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def test_there_is_one_onnx_runtime_and_all_else_that_the_package_needs(
    image_requirements: ModuleType, project: dict[str, object]
) -> None:
    names = {
        extras: [
            image_requirements.name_of(line) for line in image_requirements.requirements(project, extras.split())
        ]
        for extras in ("slo", "slo cuda")
    }
    assert "onnxruntime" in names["slo"]
    assert "onnxruntime-gpu" not in names["slo"]
    assert "onnxruntime-gpu" in names["slo cuda"]
    assert "onnxruntime" not in names["slo cuda"]
    needed = {image_requirements.name_of(line) for line in project["dependencies"]}  # type: ignore[attr-defined]
    for found in names.values():
        assert needed - set(found) <= {"onnxruntime", "onnxruntime-gpu"}
        assert "faust-streaming" in found


def test_an_extra_that_is_not_there_is_named(image_requirements: ModuleType, project: dict[str, object]) -> None:
    with pytest.raises(SystemExit, match=r"no extra gpu; there are .*cuda"):
        image_requirements.requirements(project, ["gpu"])


def test_what_is_copied_is_what_the_build_is_sent() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for source in line.split()
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(source == path or source.startswith(f"{path}/") for path in sent), source


def test_the_label_says_the_packages_version(project: dict[str, object]) -> None:
    assert f"ARG VERSION={project['version']}\n" in DOCKERFILE


def test_it_builds_without_buildkit() -> None:
    assert not re.findall(r"--mount|--chmod|--link|<<", DOCKERFILE)


@pytest.mark.parametrize("script", sorted(IMAGE.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_plain_shell(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    assert script.read_text().startswith("#!/bin/sh\n")


def test_machine_code_is_for_a_named_processor_and_its_features_are_asked_for() -> None:
    told = subprocess.run(["sh", str(IMAGE / "processor.sh")], capture_output=True, text=True, check=True).stdout
    names = dict(line.split("=", 1) for line in told.splitlines())
    assert set(names) == {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "PROCESSOR_FLAGS"}
    assert names["NUMBA_CPU_NAME"]
    # Left unset, Numba would add the features of the machine that builds.
    assert names["NUMBA_CPU_FEATURES"] == ""


def test_onnx_runtime_reports_to_nobody() -> None:
    asked = "import models.session, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environ = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environ, capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "1"
    importers = [
        str(path.relative_to(ROOT))
        for folder in ("pipeline", "features")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^(import|from) onnxruntime", path.read_text(), re.MULTILINE)
    ]
    assert not importers, "models switches it off first: import it there, or once models is imported"
