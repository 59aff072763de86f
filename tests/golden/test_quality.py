"""Quality by the Handbook's single split: at least its XGBoost, scored as the pipeline scores."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.repository import Repository
from models.session import CPU, ModelSession
from models.train.evaluate import Split, evaluate
from models.train.examples import examples_of
from models.train.fraud import RECIPES, fit, register
from pipeline.config.load import load

HANDBOOK_SPLIT = Split(train_from=115)  # 2018-07-25, counted from the file's first day
XGBOOST = {"auc": 0.862, "ap": 0.639, "cp100": 0.273}
SEEDS = range(5)


@pytest.mark.slow
def test_the_trained_model_is_at_least_the_handbooks_best(transactions_file: Path, tmp_path: Path) -> None:
    from models.manifest import Trained

    catalog = load("fraud", environ={}).config.catalog
    examples = examples_of(catalog, pq.read_table(transactions_file))
    chosen = HANDBOOK_SPLIT.train_rows(examples.day)
    tested = HANDBOOK_SPLIT.test_rows(examples.day, examples.customer, examples.fraud)
    assert (int(chosen.sum()), int(examples.fraud[chosen].sum())) == (67_240, 598)
    assert (int(tested.sum()), int(examples.fraud[tested].sum())) == (58_264, 385)
    rows = np.ascontiguousarray(examples.rows[tested])
    found = []
    for seed in SEEDS:
        booster = fit(examples, chosen, RECIPES[0].settings, RECIPES[0].trees, seed)
        score = np.asarray(booster.predict(rows), np.float64)
        known = (examples.day[tested], examples.customer[tested], examples.fraud[tested])
        trained = Trained(
            when=date(2026, 2, 3), how="test", data="test", rows=int(chosen.sum()), positives=598, seed=seed
        )
        repository, quality = Repository(tmp_path / str(seed)), evaluate(*known, score)
        entry = register(repository, RECIPES[0], booster, examples, trained, quality, tested)
        session = ModelSession(entry, providers=[CPU], buckets=[128], feature_names=examples.names)
        scores = np.zeros(len(rows), np.float32)
        for first in range(0, len(rows), 128):
            session.run(rows[first : first + 128], scores[first : first + 128])
        found.append(evaluate(*known, scores.astype(np.float64)).as_dict())
    mean = {name: float(np.mean([quality[name] for quality in found])) for name in XGBOOST}
    assert all(mean[name] >= floor for name, floor in XGBOOST.items()), mean
