"""Our decisions against Prometheus's, on the same counts: two hundred histories, every evaluation of each."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.slo.burn import SloBurn
from pipeline.slo.config import SloConfig
from pipeline.slo.load import load_slo
from pipeline.slo.rules import BAD, BURN_ALERT, GOOD, rules_of

ROOT = Path(__file__).parents[2]
IMAGE = "prom/prometheus:v2.53.0"
HISTORIES = 200
STEPS = 1000
"""Three and a half days, so that the longest window fills and slides."""
STEP_MS = 300_000
OBJECTIVES = (0.95, 0.99, 0.995, 0.999, 0.9999)
Counts = NDArray[np.int64]


@pytest.fixture(scope="session")
def promtool() -> Callable[[Path, Sequence[str]], subprocess.CompletedProcess[str]]:
    """Runs promtool in a folder: the one on the PATH, else the image's."""
    if shutil.which("promtool"):
        prefix: Callable[[Path], list[str]] = lambda folder: ["promtool"]
    elif shutil.which("docker") and not subprocess.run(["docker", "version"], capture_output=True).returncode:
        # As root: the folder of a test is its user's own.
        head = ["docker", "run", "--rm", "--user", "0", "--workdir", "/rules", "--entrypoint", "promtool"]
        prefix = lambda folder: [*head, "--volume", f"{folder}:/rules:ro", IMAGE]
    else:
        message = "no promtool: it is not on the PATH, and no Docker answers to run it from an image"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    def run(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*prefix(folder), *arguments], cwd=folder, capture_output=True, text=True, check=False)

    return run


def history(seed: int, budget: float) -> tuple[Counts, Counts]:
    """Good and bad events of each step: a daily rhythm, quiet hours, an everyday share of bad ones, incidents."""
    random = np.random.default_rng(seed)
    steps = np.arange(STEPS)
    level = 10 ** random.uniform(1, 5)
    events = random.poisson(level * (1 + 0.8 * np.sin(2 * np.pi * (steps / 288 + random.uniform()))))
    share = np.full(STEPS, budget * 10 ** random.uniform(-2, 0.3))
    for _ in range(random.integers(0, 6)):
        begin, length = random.integers(0, STEPS), int(10 ** random.uniform(0, 2.3))
        share[begin : begin + length] = min(1.0, budget * 10 ** random.uniform(0, 3.5))
    for _ in range(random.integers(0, 3)):
        begin, length = random.integers(0, STEPS), int(10 ** random.uniform(0, 2.5))
        events[begin : begin + length] = 0
    bad = random.binomial(events, np.minimum(share, 1.0))
    return events - bad, bad


def config_of(histories: int) -> SloConfig:
    shipped = load_slo("slo", environ={})
    slos = [
        {"name": f"h{n:03}", "pipeline": "fraud", "kind": "outcomes", "objective": OBJECTIVES[n % len(OBJECTIVES)]}
        for n in range(histories)
    ]
    app = {"evaluate_s": STEP_MS // 1000}
    return SloConfig.model_validate(
        {"kafka": shipped.kafka, "pipelines": shipped.pipelines, "slos": slos, "burn": shipped.burn, "app": app}
    )


def decisions(config: SloConfig, number: int, good: Counts, bad: Counts) -> dict[str, list[bool]]:
    """Per severity, whether we say firing at the end of each step; the first evaluation is before any event."""
    burn = SloBurn(config.slos[number].budget, config.burn.rules())
    found: dict[str, list[bool]] = {"page": [], "ticket": []}
    for step in range(STEPS + 1):
        if step:
            burn.add((step - 1) * STEP_MS, int(good[step - 1]), int(bad[step - 1]))
        for verdict in burn.evaluate(step * STEP_MS):
            found[verdict.severity].append(verdict.firing)
    return found


def counter(name: str, slo: str, counts: Counts) -> str:
    total = " ".join(map(str, np.concatenate([[0], np.cumsum(counts)]).tolist()))
    labels = f'slo="{slo}", pipeline="fraud"'
    return f"      - series: {json.dumps(f'{name}{{{labels}}}')}\n        values: '{total}'"


def expected_at(step: int, decided: Sequence[dict[str, list[bool]]]) -> str:
    query = f'count by (slo, severity) (ALERTS{{alertname="{BURN_ALERT}", alertstate="firing"}})'
    lines = [f"      - expr: {json.dumps(query)}", f"        eval_time: {5 * step}m"]
    samples = [
        f"          - {{labels: '{{slo=\"h{number:03}\", severity=\"{severity}\"}}', value: 1}}"
        for number, found in enumerate(decided)
        for severity in ("page", "ticket")
        if found[severity][step]
    ]
    return "\n".join([*lines, *(["        exp_samples:", *samples] if samples else [])])


@pytest.mark.slow
def test_every_decision_on_two_hundred_histories_is_prometheuss_own(
    tmp_path: Path, promtool: Callable[[Path, Sequence[str]], subprocess.CompletedProcess[str]]
) -> None:
    config = config_of(HISTORIES)
    histories = [history(number, slo.budget) for number, slo in enumerate(config.slos)]
    decided = [decisions(config, number, *counts) for number, counts in enumerate(histories)]
    for severity in ("page", "ticket"):
        fired = sum(any(found[severity]) for found in decided)
        assert 20 <= fired <= HISTORIES - 20, f"{fired} histories fire a {severity}: they show too little"
    series = [
        counter(name, slo.name, counts)
        for slo, both in zip(config.slos, histories, strict=True)
        for name, counts in zip((GOOD, BAD), both, strict=True)
    ]
    checks = [expected_at(step, decided) for step in range(STEPS + 1)]
    (tmp_path / "rules.yml").write_text(rules_of(config))
    (tmp_path / "test.yml").write_text(
        "rule_files: [rules.yml]\nevaluation_interval: 5m\ntests:\n  - interval: 5m\n    input_series:\n"
        + "\n".join([*series, "    promql_expr_test:", *checks])
    )
    done = promtool(tmp_path, ["test", "rules", "test.yml"])
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]


def test_the_shipped_rules_are_those_of_the_shipped_configuration(
    promtool: Callable[[Path, Sequence[str]], subprocess.CompletedProcess[str]],
) -> None:
    folder = ROOT / "deploy" / "prometheus" / "rules"
    _, _, written = (folder / "slo.yml").read_text().partition("\n")
    assert written == rules_of(load_slo("slo", environ={})), "write it anew, see the head of deploy/prometheus/rules/slo.yml"
    done = promtool(folder, ["check", "rules", "slo.yml"])
    assert done.returncode == 0, done.stdout + done.stderr
