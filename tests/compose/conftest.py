"""One stack for all tests of it: building the image and starting it takes longer than each of them."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config.load import load
from tests.compose.stack import SERVICES, Stack, docker_problem
from tests.compose.stalling_model import NAME, write_stalling_repository

BUDGET_MS = 1000
"""Ten times the shipped one: a busy machine that is late by itself is not what is tested."""
EVALUATE_S = 2
METRICS_MS = 250
TIME_SCALE = 60
"""An hour is a minute, five minutes are 5 s."""


def changes(models: Path) -> dict[str, object]:
    """What differs from the shipped stack: a model that can stall, wider budgets, narrower windows."""
    budget = {"HEADRACE_PIPELINE__BUDGET_MS": BUDGET_MS, "HEADRACE_ENGINE__METRICS_MS": METRICS_MS}
    stalling = {"HEADRACE_MODELS__FOLDER": "/models", "HEADRACE_TIERS__PRIMARY__MODEL": NAME}
    slo = {
        "HEADRACE_APP__EVALUATE_S": EVALUATE_S,
        "HEADRACE_BURN__TIME_SCALE": TIME_SCALE,
        "HEADRACE_SLOS__FRAUD_LATENCY__THRESHOLD_MS": BUDGET_MS,
        "HEADRACE_SLOS__VISION_LATENCY__THRESHOLD_MS": BUDGET_MS,
    }
    return {
        "services": {
            "fraud": {"environment": {**budget, **stalling}, "volumes": [f"{models}:/models:ro"]},
            "vision": {"environment": budget},
            "slo": {"environment": slo},
        }
    }


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up and healthy. What it said is shown when a test of it failed."""
    if problem := docker_problem():
        message = f"no Docker with Compose: {problem}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("compose")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    write_stalling_repository(folder / "models", tuple(load("fraud", environ={}).config.features))
    own = Stack(folder, f"headrace-{uuid.uuid4().hex[:8]}", changes(folder / "models"))
    try:
        own.up(*SERVICES)
        yield own
    except BaseException:
        print(own.logs())  # noqa: T201
        raise
    finally:
        own.down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[object]:
    """A failed test of the stack shows what its containers said."""
    report = yield
    own = getattr(item, "funcargs", {}).get("stack")
    if getattr(report, "failed", False) and isinstance(own, Stack):
        report.sections.append(("containers", own.logs()))  # type: ignore[attr-defined]
    return report
