"""Cost curves from a file: what is read is what was written, and what does not fit is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.sim.curves import MEASURED_LOOP, NOISE, Costs, TierCurve, as_file, read_costs
from pipeline.sim.process import LoopCost, Ways

CONFIG = load("fraud", environ={}).config
BOTH = {"fraud-gbt/1": {"1": 9.0, "64": 1.5}, "fraud-lite/1": {"1": 7.0}}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "curve.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_run_takes_its_rows_times_what_a_row_takes(tmp_path):
    costs = read_costs(written(tmp_path, {"us_a_row": BOTH, "machine": {"cpu": "x"}}), CONFIG)
    assert costs.tiers[0].ns_by_rows == {1: 9_000.0, 64: 96_000.0}
    assert costs.tiers[1].ns_by_rows == {1: 7_000.0}
    assert costs.tiers[0].noise == NOISE
    assert not costs.tiers[0].padded
    assert costs.loop == MEASURED_LOOP


def test_the_results_of_the_benchmark_are_a_curve_file():
    path = Path(__file__).parents[2] / "bench" / "results" / "sessions.json"
    assert len(read_costs(path, CONFIG).tiers[0].ns_by_rows) >= 8


def test_what_is_written_is_read_back(tmp_path):
    loop = LoopCost(turn_ns=1_000, read_ns=2_000, publish_ns=3_500)
    ways = Ways(linger_ns=0, fetch_ns=5_000_000, delivery_ns=1_500, sigma=0.2)
    costs = Costs((TierCurve({1: 9e3, 32: 50e3}, 0.05), TierCurve({8: 10e3}, 0.05), None), loop, ways)
    again = read_costs(written(tmp_path, as_file(CONFIG, costs)), CONFIG)
    assert again.loop == loop
    assert again.ways == ways
    assert again.tiers[2] is None
    for left, right in zip(again.tiers[:2], costs.tiers[:2], strict=True):
        assert left.ns_by_rows == pytest.approx(right.ns_by_rows)
        assert left.noise == right.noise


def test_the_loop_keeps_what_the_file_does_not_say(tmp_path):
    loop = read_costs(written(tmp_path, {"us_a_row": BOTH, "loop_us": {"read_row": 0.5}}), CONFIG).loop
    assert (loop.read_row_ns, loop.turn_ns) == (500, MEASURED_LOOP.turn_ns)


def test_a_device_runs_whole_buckets(tmp_path):
    config = load("fraud", environ={}, assignments=['tiers.primary.providers=["CUDAExecutionProvider"]']).config
    assert read_costs(written(tmp_path, {"us_a_row": BOTH}), config).tiers[0].padded


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "invalid JSON"),
        ("[]", "object"),
        ({}, "us_a_row: field required"),
        ({"us_a_row": {"fraud-gbt/1": {"1": 9}}}, "us_a_row: no curve of fraud-lite/1; there are fraud-gbt/1"),
        ({"us_a_row": {**BOTH, "fraud-gbt/1": {}}}, "us_a_row.fraud-gbt/1: "),
        ({"us_a_row": {**BOTH, "fraud-gbt/1": {"0": 9}}}, "us_a_row.fraud-gbt/1.0: input should be greater than"),
        (
            {"us_a_row": {**BOTH, "fraud-gbt/1": {"many": 9}}},
            "us_a_row.fraud-gbt/1.many: input should be a valid int",
        ),
        ({"us_a_row": {**BOTH, "fraud-gbt/1": {"1": -2}}}, "greater than 0, found -2"),
        ({"us_a_row": {**BOTH, "fraud-gbt/1": {"1": "fast"}}}, "valid number, unable to parse string as a number"),
        ({"us_a_row": BOTH, "noise": -1}, "noise: input should be greater than or equal to 0, found -1"),
        ({"us_a_row": BOTH, "loop_us": {"turns": 5}}, "loop_us: unknown key 'turns', expected some of turn, read"),
        ({"us_a_row": BOTH, "ways_us": {"back": 5}}, "ways_us: unknown key 'back', expected some of linger, fetch"),
        ({"us_a_row": BOTH, "ways_sigma": 9}, "ways_sigma: input should be less than or equal to 2, found 9"),
        ({"us_a_row": BOTH, "loop_us": {"turn": -5}}, "loop_us.turn: input should be greater than or equal to 0"),
    ],
)
def test_a_file_that_does_not_fit_is_told_with_its_name(tmp_path, content, told):
    with pytest.raises(ConfigError) as caught:
        read_costs(written(tmp_path, content), CONFIG)
    assert told in str(caught.value)
    assert "curve.json" in str(caught.value)


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path):
    for path, told in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=told) as caught:
            read_costs(path, CONFIG)
        assert path.name in str(caught.value)
