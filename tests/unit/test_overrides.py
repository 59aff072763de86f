"""What is known of a row overrules what its score says, and is told as the reason."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.load import find, load
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError
from pipeline.overrides import FEATURES, MEASURES, OUTCOMES, Override, Overrides, Place
from pipeline.row_layout import features_of, layout_of
from pipeline.rows import Rows

PASS, INSPECT, REJECT = 0, 1, 2
RULES = (
    Override(Place(OUTCOMES, 1), -0.5, False, INSPECT),
    Override(Place(FEATURES, 0), 10.0, True, REJECT),
    Override(Place(MEASURES, 0), 0.9, True, PASS),
)


def overruled(feature: float, measure: float, outcome: float) -> tuple[int, list[float]]:
    rows = Rows(4, 1, measures=1, outcomes=2, reasons=3)
    rows.features64[2, 0], rows.measures[2, 0], rows.outcomes[2, 1] = feature, measure, outcome
    rows.decision[2] = REJECT
    Overrides(rows, RULES).apply(np.array([2], np.int32))
    assert rows.decision[[0, 1, 3]].tolist() == [0, 0, 0]
    return int(rows.decision[2]), rows.reasons[2].tolist()


@pytest.mark.parametrize(
    ("numbers", "decision", "told"),
    [
        ((10.0, 0.9, -0.5), REJECT, [None, None, None]),  # at a limit is not beyond it
        ((0.0, 0.0, -0.75), INSPECT, [-0.75, None, None]),
        ((11.0, 0.0, -0.75), INSPECT, [-0.75, 11.0, None]),  # the first decides, all are told
        ((11.0, 1.0, 0.0), REJECT, [None, 11.0, 1.0]),
        ((0.0, 1.0, 0.0), PASS, [None, None, 1.0]),
        ((np.nan, np.nan, np.nan), REJECT, [None, None, None]),  # what is not known overrules nothing
    ],
)
def test_the_first_that_holds_decides_and_all_that_hold_are_reasons(numbers, decision, told):
    found, reasons = overruled(*numbers)
    assert found == decision
    assert [None if np.isnan(reason) else reason for reason in reasons] == told


RULE = """
[[overrides]]
feature = "sharpness_drift"
below = -0.5
decision = "inspect"
reason = "camera_dirty"
"""


def vision_with(folder: Path, text: str) -> PipelineConfig:
    """The shipped pipeline and one rule more."""
    file = folder / "vision.toml"
    file.write_text(find("vision").read_text() + text)
    return load(str(file), environ={}).config


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("below = -0.5", "", "camera_dirty: expected either below or above"),
        ("below = -0.5", "below = -0.5\nabove = 3.0", "camera_dirty: expected either below or above"),
        ('"inspect"', '"maybe"', "camera_dirty: 'maybe' is none of the labels pass, inspect, reject"),
        ("camera_dirty", "Dirty!", "reason"),
        ("below", "bellow", 'did you mean "below"'),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(tmp_path, old, new, told):
    assert vision_with(tmp_path, RULE).overrides[-1].reason == "camera_dirty"
    with pytest.raises(ConfigError, match=told):
        vision_with(tmp_path, RULE.replace(old, new))


def test_an_override_by_what_no_row_has_names_what_there_is(tmp_path):
    config = vision_with(tmp_path, RULE.replace("sharpness_drift", "sharpness_drfit"))
    told = r"overrides\.3\.feature: 'sharpness_drfit' is known of no row, did you mean \"sharpness_drift\""
    with pytest.raises(ConfigError, match=told):
        layout_of(config, features_of(config), [])


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("outcome_state.camera.key=frame_id", "expected 'camera_id', the key of topic 'frames'"),
        ("outcome_state.camera.features.defect_rate_1m.spam=1m", "spam"),
        ("reuse.near_bits=3", "expected near_report with the measured rate of false reuse"),
        ("reuse.exact_row=3", 'did you mean "exact_rows"'),
    ],
)
def test_outcome_state_and_reuse_that_make_no_sense_are_refused(assignment, told):
    with pytest.raises(ConfigError, match=told):
        load("vision", environ={}, assignments=[assignment])


def test_only_images_look_alike():
    with pytest.raises(ConfigError, match="only images look alike, the topic holds none: expected exact_rows"):
        load(
            "fraud", environ={}, assignments=["reuse.near_bits=3", "reuse.near_report=r", "reuse.near_false_max=0.1"]
        )
