"""Our decisions against Prometheus's, on the same counts: two hundred histories, every evaluation of each.

Prometheus 2 counts a window with both its ends, so that the increase over samples that lie on them is exact.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.slo.burn import Severity, SloBurn
from pipeline.slo.config import SloConfig, SloSection
from pipeline.slo.load import load_slo
from pipeline.slo.rules import BAD, BURN_ALERT, GOOD, rules_of

ROOT = Path(__file__).parents[2]
IMAGE = "prom/prometheus:v2.53.0"
DAY = 288
"""Steps."""
STEP_MS = 300_000
FIRST, SECOND, LONG = range(100), range(100, 180), range(180, 200)
OBJECTIVES = (0.95, 0.99, 0.995, 0.999, 0.9999)
Counts = NDArray[np.int64]
Promtool = Callable[[Path, Sequence[str]], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Runs promtool in a folder: the one on the PATH, else the image's."""
    if shutil.which("promtool"):
        prefix, folder_option = ["promtool"], ""
    elif shutil.which("docker") and not subprocess.run(["docker", "version"], capture_output=True).returncode:
        # As root: the folder of a test is its user's own.
        prefix = ["docker", "run", "--rm", "--user", "0", "--workdir", "/rules", "--entrypoint", "promtool"]
        folder_option = "--volume={}:/rules:ro"
    else:
        message = "no promtool: it is not on the PATH, and no Docker answers to run it from an image"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    def run(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        where = [folder_option.format(folder), IMAGE] if folder_option else []
        command = [*prefix, *where, *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    return run


def history(seed: int, budget: float, length: int) -> tuple[Counts, Counts]:
    """Good and bad events of each step: a daily rhythm, quiet hours, an everyday share of bad ones, incidents."""
    random = np.random.default_rng(seed)
    steps = np.arange(length)
    level = 10 ** random.uniform(1, 5)
    events = random.poisson(level * (1 + 0.8 * np.sin(2 * np.pi * (steps / DAY + random.uniform()))))
    share = np.full(length, budget * 10 ** random.uniform(-2, 0.3))
    for _ in range(random.integers(0, 6)):
        begin, lasts = random.integers(0, length), int(10 ** random.uniform(0, 2.3))
        share[begin : begin + lasts] = min(1.0, budget * 10 ** random.uniform(0, 3.5))
    for _ in range(random.integers(0, 3)):
        begin, lasts = random.integers(0, length), int(10 ** random.uniform(0, 2.5))
        events[begin : begin + lasts] = 0
    bad = random.binomial(events, np.minimum(share, 1.0))
    return events - bad, bad


def config_of(numbers: range, every: int) -> SloConfig:
    shipped = load_slo("slo", environ={})
    slos = [
        {"name": f"h{n:03}", "pipeline": "fraud", "kind": "outcomes", "objective": OBJECTIVES[n % len(OBJECTIVES)]}
        for n in numbers
    ]
    app = {"evaluate_s": every * STEP_MS // 1000}
    return SloConfig.model_validate(
        {"kafka": shipped.kafka, "pipelines": shipped.pipelines, "slos": slos, "burn": shipped.burn, "app": app}
    )


def decisions(config: SloConfig, slo: SloSection, good: Counts, bad: Counts, every: int) -> list[set[Severity]]:
    """What fires at each evaluation; the first is before any event."""
    burn = SloBurn(slo.budget, config.burn.rules())
    found = []
    for step in range(len(good) + 1):
        if step:
            burn.add((step - 1) * STEP_MS, int(good[step - 1]), int(bad[step - 1]))
        if step % every == 0:
            found.append({verdict.severity for verdict in burn.evaluate(step * STEP_MS) if verdict.firing})
    return found


def counter(name: str, slo: str, counts: Counts) -> str:
    total = " ".join(map(str, np.concatenate([[0], np.cumsum(counts)]).tolist()))
    labels = f'slo="{slo}", pipeline="fraud"'
    return f"      - series: {json.dumps(f'{name}{{{labels}}}')}\n        values: '{total}'"


def expected_at(minute: int, firing: Mapping[str, set[Severity]]) -> str:
    query = f'count by (slo, severity) (ALERTS{{alertname="{BURN_ALERT}", alertstate="firing"}})'
    lines = [f"      - expr: {json.dumps(query)}", f"        eval_time: {minute}m"]
    samples = [
        f'          - {{labels: \'{{slo="{slo}", severity="{severity}"}}\', value: 1}}'
        for slo, severities in firing.items()
        for severity in severities
    ]
    return "\n".join([*lines, *(["        exp_samples:", *samples] if samples else [])])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "length", "every"),
    [
        (FIRST, DAY // 3, 1),
        (SECOND, DAY, 3),
        (LONG, 3 * DAY + DAY // 2, 3),  # the longest window fills and slides
        pytest.param(range(200), 3 * DAY + DAY // 2, 1, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_every_decision_is_prometheuss_own(
    numbers: range, length: int, every: int, tmp_path: Path, promtool: Promtool
) -> None:
    config = config_of(numbers, every)
    histories = {slo.name: history(n, slo.budget, length) for n, slo in zip(numbers, config.slos, strict=True)}
    decided = {slo.name: decisions(config, slo, *histories[slo.name], every) for slo in config.slos}
    severities: tuple[Severity, ...] = ("page", "ticket")
    for severity in severities:
        fired = sum(any(severity in firing for firing in found) for found in decided.values())
        assert len(numbers) // 10 <= fired < len(numbers), (
            f"{fired} histories fire a {severity}: they show too little"
        )
    series = [
        counter(name, slo, counts)
        for slo, both in histories.items()
        for name, counts in zip((GOOD, BAD), both, strict=True)
    ]
    checks = [
        expected_at(step * STEP_MS // 60_000, {slo: found[number] for slo, found in decided.items()})
        for number, step in enumerate(range(0, length + 1, every))
    ]
    (tmp_path / "rules.yml").write_text(rules_of(config))
    (tmp_path / "test.yml").write_text(
        f"rule_files: [rules.yml]\nevaluation_interval: {5 * every}m\ntests:\n  - interval: 5m\n    input_series:\n"
        + "\n".join([*series, "    promql_expr_test:", *checks])
    )
    done = promtool(tmp_path, ["test", "rules", "test.yml"])
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]


def test_the_shipped_rules_are_those_of_the_shipped_configuration(promtool: Promtool) -> None:
    folder = ROOT / "deploy" / "prometheus" / "rules"
    _, _, written = (folder / "slo.yml").read_text().partition("\n")
    assert written == rules_of(load_slo("slo", environ={})), "write it anew, see the head of the file"
    done = promtool(folder, ["check", "rules", "slo.yml"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shipped_rules_pass_their_own_tests(promtool: Promtool) -> None:
    done = promtool(ROOT / "deploy" / "prometheus", ["test", "rules", "tests/slo.yml"])
    assert done.returncode == 0, done.stdout + done.stderr
