"""Sequences ask for each row once with what came before it; a network learns what only a memory can know."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.recurrent_session import RecurrentSession
from models.repository import Repository
from models.session import CPU
from models.train.evaluate import roc_auc
from models.train.examples import Examples, labels_of
from models.train.gru import STEPS, WARM_STEPS, scores_in_order, sequences_of, train_network
from models.train.recurrent import Recipe
from pipeline.cli.app import run
from pipeline.config.load import load
from pipeline.recorded import decisions_of
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.engine.test_same_bits import backfilled
from tests.recurrent_models import NAME, by_card, fraud_models, random_weights, write_model

START_MS = 1_577_836_800_000


def examples_of_cards(cards: np.ndarray, rows: np.ndarray, fraud: np.ndarray) -> Examples:
    names = tuple(f"f{number}" for number in range(rows.shape[1]))
    return Examples(names, rows.astype(np.float32), np.arange(len(cards)), cards, fraud)


def test_sequences_ask_for_each_row_once_and_hold_what_came_before() -> None:
    random = np.random.default_rng(0)
    cards = random.integers(0, 7, 900)
    rows, asked = np.arange(900.0)[:, None], np.arange(900) >= 400
    found = sequences_of(examples_of_cards(cards, rows, random.random(900) < 0.1), asked)
    told = found.rows[..., 0][found.asked > 0].astype(int)
    assert sorted(told.tolist()) == list(range(400, 900))
    assert not (found.asked > found.given).any()
    for number in range(len(found.rows)):
        own = found.rows[number, found.given[number] > 0, 0].astype(int)
        card = cards[own[0]]
        assert own.tolist() == [row for row in range(own[0], own[-1] + 1) if cards[row] == card]
        first = int(np.argmax(found.asked[number]))
        before = int(found.given[number, :first].sum())
        assert before >= min(WARM_STEPS, int((cards[: int(found.rows[number, first, 0])] == card).sum()))
    assert found.rows.shape[1:] == (STEPS, 1)


@pytest.mark.slow
def test_a_network_learns_what_only_a_memory_can_know() -> None:
    """A fraud is an event whose card's last one was large: no event tells it of itself."""
    random = np.random.default_rng(1)
    events, learnt = 3_000, 2_200
    cards, rows = random.integers(0, 60, events), random.uniform(0, 1, (events, 2))
    fraud, last = np.zeros(events, np.bool_), dict.fromkeys(range(60), 0.0)
    for row, card in enumerate(cards.tolist()):
        fraud[row], last[card] = last[card] > 0.8, rows[row, 0]
    examples = examples_of_cards(cards, rows, fraud)
    recipe = Recipe(hidden=8, head=8, epochs=40, batch=16, rate=0.02)
    network = train_network(examples, np.arange(events) < learnt, recipe, 1)
    longest = max(int((cards == card).sum()) for card in range(60))
    histories, score = np.zeros((60, longest, 2), np.float32), np.zeros(events)
    own = [np.flatnonzero(cards == card) for card in range(60)]
    for card, at in enumerate(own):
        histories[card, : len(at)] = examples.rows[at]
    for at, told in zip(own, network.scores(histories), strict=True):
        score[at] = told[: len(at)]
    assert roc_auc(fraud[learnt:], score[learnt:]) > 0.9


def test_scores_in_order_are_those_of_the_whole_history(tmp_path: Path) -> None:
    weights, random = random_weights(3, 5), np.random.default_rng(2)
    entry = Repository(write_model(tmp_path, weights, ("a", "b", "c"))).load(NAME, "1")
    session = RecurrentSession(entry, providers=[CPU], buckets=[1], feature_names=("a", "b", "c"))
    cards, rows = random.integers(0, 6, 200), random.uniform(0, 5, (200, 3)).astype(np.float32)
    np.testing.assert_allclose(scores_in_order(session, rows, cards), by_card(weights, rows, cards), atol=1e-5)


def test_a_recorded_file_goes_through_the_state(tmp_path: Path) -> None:
    table = simulated_table(Population(customers=20, terminals=30, terminals_near=8, seed=3), 12, START_MS)
    names, weights = tuple(load("fraud", environ={}).config.features), random_weights(15, 8)
    given = (f"models.folder={fraud_models(tmp_path, names, weights)}", f"tiers.primary.model={NAME}")
    config = load("fraud", environ={}, assignments=given).config
    found = {}
    given_tables = {"transactions": table.to_batches(max_chunksize=100), "labels": labels_of(table).to_batches()}
    for batch in decisions_of(config, given_tables):
        found.update(zip(batch.column(0).to_pylist(), batch.column(2).to_pylist(), strict=True))
    features = backfilled(table, config)
    ids = table["transaction_id"].to_pylist()
    rows = np.array([[features[str(number)][name] for name in names] for number in ids], np.float32)
    expected = by_card(weights, rows, table["customer_id"].to_pylist())
    np.testing.assert_allclose([found[number] for number in ids], expected, atol=1e-5)


@pytest.mark.slow
def test_the_command_registers_what_it_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = simulated_table(Population(customers=400, terminals=60, terminals_near=10, seed=3), 24, START_MS)
    pq.write_table(table, tmp_path / "events.parquet")
    data, out = str(tmp_path / "events.parquet"), str(tmp_path / "models")
    assert run(["train", "gru", "--data", data, "--out", out, "--epochs", "2", "--state", "4"]) == 0
    assert re.search(r"fraud-gru/1: auc \d\.\d+, ap \d\.\d+, cp100 \d\.\d+", capsys.readouterr().out)
    manifest = Repository(tmp_path / "models").load("fraud-gru", "1").manifest
    assert manifest.state is not None
    assert manifest.state.size == 4
    assert manifest.trained.positives >= 10
