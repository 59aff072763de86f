"""Sessions that answer no more are let go of: reloads do not fill the memory."""

import resource
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_repository

from pipeline.answering import Answerer, Answerers, Answering
from pipeline.batch import Batch
from pipeline.config.load import load
from pipeline.row_layout import features_of
from pipeline.rows import Rows
from pipeline.runner import Runner
from pipeline.tiers import open_tiers, open_version

CONFIG = load("fraud", environ={}).config
BATCH = Batch(0, np.arange(64, dtype=np.int32))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
def test_a_hundred_reloads_leave_the_memory_as_ten_did() -> None:
    tiers = open_tiers(CONFIG, features_of(CONFIG).names)
    answerers = Answerers(tiers)
    runner = Runner(Rows(64, len(CONFIG.features)), answerers, 512, time.monotonic_ns)
    grown = []
    for number in range(100):
        answerers.change(0, Answering(Answerer(10 + number, open_version(CONFIG, tiers, 0, "fraud-gbt", "1"))))
        runner.run(BATCH)
        grown.append(resident_bytes())
    assert len(runner._ways) == 1
    assert grown[-1] - grown[10] < 16 << 20


def test_another_version_fits_its_tier_or_is_refused_by_name(tmp_path: Path) -> None:
    names = features_of(CONFIG).names
    folder = write_repository(tmp_path / "mine", tuple(CONFIG.features))
    write_repository(tmp_path / "other", ("amount",))
    mine = load("fraud", environ={}, assignments=[f"models.folder={folder}"]).config
    other = load("fraud", environ={}, assignments=[f"models.folder={tmp_path / 'other'}"]).config
    tiers = open_tiers(mine, names)
    assert open_version(mine, tiers, 0, "fraud-lite", "1").label.model == "fraud-lite"
    for config, number, sha256, says in (
        (mine, 0, "0" * 64, "0000 is what was rolled out"),
        (other, 0, "", "the pipeline declares"),
        (mine, 2, "", "a rule answers in it"),
    ):
        with pytest.raises(ValueError, match=says):
            open_version(config, tiers, number, "fraud-gbt", "1", sha256)
