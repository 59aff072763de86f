"""The shipped configuration for frames, and what may be got wrong in deciding by class."""

import pytest

from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError

BY_CLASS = ("decide.thresholds=[]", 'decide.classes={ good = "pass", hole = "reject" }')


def vision(*assignments: str, **environ: str) -> PipelineConfig:
    return load("vision", environ=environ, assignments=assignments).config


def mistake(*assignments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        vision(*assignments)
    return str(caught.value)


def test_frames_are_images_with_their_fields_in_headers() -> None:
    spec = vision().catalog.decided
    assert (spec.format, spec.id, spec.key, spec.event_time) == ("image", "frame_id", "camera_id", "captured_at")
    assert vision().decide.labels == ("pass", "inspect", "reject")
    crop = vision("inputs.frames.image.crop=[0, 0.25, 1, 0.75]").inputs["frames"].image
    assert crop is not None
    assert crop.crop == (0.0, 0.25, 1.0, 0.75)


def test_a_refused_frame_can_still_be_a_dead_letter() -> None:
    config = vision()
    assert int(config.kafka.producer_settings()["message.max.bytes"]) > config.engine.value_bytes_max
    assert int(config.kafka.consumer_settings()["message.max.bytes"]) > config.engine.value_bytes_max


def test_deciding_by_class() -> None:
    decide = vision(*BY_CLASS, "decide.sure_min=0.8").decide
    assert (decide.classes, decide.sure_min) == ({"good": "pass", "hole": "reject"}, 0.8)


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (BY_CLASS[1:], "classes: found beside thresholds, expected one of the two"),
        (BY_CLASS[:1], "3 labels need 2 thresholds between them, found 0"),
        ((BY_CLASS[0], 'decide.classes={ good = "ok" }'), "classes: good: 'ok' is none of the labels"),
        (("decide.sure_min=0.5",), "sure_min: goes with `classes` alone"),
        ((*BY_CLASS, "decide.sure_min=1.5"), "found 1.5"),
        ((*BY_CLASS, "tiers.primary.thresholds=[]"), "primary has thresholds, expected none: decide.classes decides"),
        (("inputs.frames.format=json",), 'found this table with format = "json"'),
        (("inputs.frames.image.pixels_max=0",), "pixels_max: found 0"),
    ],
)
def test_what_does_not_fit_together_is_told(assignments: tuple[str, ...], told: str) -> None:
    assert told in mistake(*assignments)


def test_a_model_of_features_has_no_classes() -> None:
    with pytest.raises(ConfigError, match=r"decide\.classes: a model of features has no classes"):
        load("fraud", environ={}, assignments=("decide.thresholds=[]", 'decide.classes={ a = "review" }'))
