"""The ladders that a configuration asks for, and the report that a cascade rests on."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.cascade import Expected, Thresholds
from models.cascade_report import report_of
from models.repository import Repository
from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.ladder_build import entry_ladders, ladders_of, second_ladder, watch_of
from pipeline.ladders import KEEP
from pipeline.rows import Rows
from pipeline.servings import Serving, Servings, TierLabel
from pipeline.standing import Standing
from pipeline.tier import ModelTier

LITE, GBT = (Repository.shipped().load(name, "1").manifest for name in ("fraud-lite", "fraud-gbt"))
EXPECTED = Expected(1000, 0.9, 0.01, 0.97, 0.05)
CASCADE = ("cascade.first=lite", "cascade.sure_below=0.01", "cascade.sure_above=0.9")


def reported(folder: Path, first=LITE, second=GBT) -> str:
    file = folder / "cascade.json"
    file.write_bytes(msgspec.json.encode(report_of(first, second, Thresholds(0.01, 0.9), EXPECTED)))
    return f"cascade.report={file}"


def configured(*settings: str):
    return load("fraud", environ={}, assignments=settings).config


def routed(tmp_path: Path, *routes: str):
    path = tmp_path / "mine.toml"
    text = "".join(f'\n[[routes]]\nname = "r{n}"\nwhen = "amount < {n}"\n{more}\n' for n, more in enumerate(routes))
    path.write_text(load("fraud", environ={}).source.read_text() + text)
    return lambda *settings: load(str(path), environ={}, assignments=settings).config


def test_a_report_about_these_models_and_thresholds_is_what_the_stream_is_held_against(tmp_path: Path) -> None:
    watch = watch_of(configured(*CASCADE, reported(tmp_path)))
    assert watch.thresholds == Thresholds(0.01, 0.9)
    watch.scored(np.full(10_000, 0.5, np.float32))
    assert watch.levels()["cascade_drifted"] == 1


def test_more_cautious_thresholds_pass_but_nothing_is_held_against_another_share(tmp_path: Path) -> None:
    watch = watch_of(configured(*CASCADE[:1], "cascade.sure_below=0.005", CASCADE[2], reported(tmp_path)))
    watch.scored(np.full(10_000, 0.5, np.float32))
    assert "cascade_drifted" not in watch.levels()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda folder: (*CASCADE, reported(folder, second=LITE)), "fraud-lite/1 of another sha256"),
        (lambda folder: (*CASCADE, reported(folder, first=GBT)), "expected the one of fraud-lite/1 in tier lite"),
        (lambda folder: (*CASCADE, "cascade.sure_below=0.02", reported(folder)), "settle more than was measured"),
        (lambda folder: (*CASCADE, "cascade.sure_above=0.8", reported(folder)), "settle more than was measured"),
        (lambda folder: (*CASCADE, f"cascade.report={folder}/none"), "cannot be read as a report"),
    ],
)  # fmt: skip
def test_a_report_about_anything_else_is_refused(tmp_path: Path, given, says: str) -> None:
    with pytest.raises(ConfigError, match=r"^cascade.report: ") as caught:
        watch_of(configured(*given(tmp_path)))
    assert says in str(caught.value)


def test_a_cascade_begins_with_its_first_model_and_has_the_tiers_above_for_its_second_stage() -> None:
    config = configured(*CASCADE)
    assert [ladder.tiers for ladder in entry_ladders(config)[0]] == [(1, 2)]
    second = second_ladder(config)
    assert second is not None
    assert (second.number, second.tiers) == (1, (0, KEEP))


def test_routes_of_the_same_tiers_share_a_ladder_and_those_without_have_the_pipelines(tmp_path: Path) -> None:
    asked = ('tiers = ["lite", "rule"]', 'tiers = ["primary"]', 'tiers = ["lite", "rule"]', "budget_ms = 50")
    config = routed(tmp_path, *asked)
    ladders, by_route = entry_ladders(config())
    assert [ladder.tiers for ladder in ladders] == [(0, 1, 2), (1, 2), (0,)]
    assert by_route == [0, 1, 2, 1, 0]
    ladders, by_route = entry_ladders(config(*CASCADE))
    assert [ladder.tiers for ladder in ladders] == [(1, 2), (1, 2), (0,)]
    assert by_route == [0, 1, 2, 1, 0], "a route to the first model's tiers is no cascade"
    tier = ModelTier("any", None, None, TierLabel("any", "any", "1", "CPU"), ())
    made = ladders_of(config(*CASCADE), Rows(64, 15), [tier] * 3)
    assert made._second is not None
    assert made._second._ladder.number == 3


def test_standing_gives_the_same_who_in_the_tier_that_was_asked_for_whenever_it_came() -> None:
    servings = Servings.of_ladder(
        [(TierLabel("primary", "big", "1", "CPU"), ()), (TierLabel("lite", "small", "1", "CPU"), ())]
    )
    standing = Standing(servings, 0, "primary")
    numbers = standing.of(np.array([2, 2, 2], np.int32))
    assert numbers.tolist() == [3, 3, 3]
    assert servings.of(3) == Serving(TierLabel("primary", "small", "1", "CPU"), 0, False)
    late = servings.add(Serving(TierLabel("lite", "small", "2", "CPU"), 1, True))
    assert standing.of(np.array([late, 2], np.int32)).tolist() == [5, 3]
    assert servings.of(5).label == TierLabel("primary", "small", "2", "CPU")
    assert len(servings) == 5
    assert standing.of(np.empty(0, np.int32)).tolist() == []
