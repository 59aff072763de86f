"""What must hold of a run's topics, whatever died meanwhile. It shares no code with the product."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from tests.chaos.topics import DeadLetter, Decisions, Inputs, read_dead_letters, read_decisions, read_inputs
from tests.chaos.windows import features_of

SCORE_APART_MAX = 1e-5
FEATURE_APART_MAX = 1e-9
MODEL = Path(__file__).parents[2] / "models" / "repository" / "fraud-gbt" / "1" / "model.onnx"
SCORED_ROWS = 512


@dataclass(frozen=True)
class Truth:
    """The inputs, and by record what a decision must say: from an undisturbed run and from the definitions."""

    inputs: Inputs
    features: Any  # float64[records, features], those of the undisturbed run
    score: Any  # float64[records]


@dataclass(frozen=True)
class Verdict:
    """What was found where all holds."""

    decisions: int
    dead_letters: int
    repeats: int
    score_apart_max: float


def index_of(inputs: Inputs, partition: Any, offset: Any) -> Any:
    """Records by their place in all partitions; fails for a place that no input has."""
    assert ((partition >= 0) & (partition < len(inputs.starts) - 1)).all(), "a source of an unknown partition"
    index = inputs.starts[partition] + offset
    assert ((offset >= 0) & (index < inputs.starts[partition + 1])).all(), "a source of an offset that is not there"
    return index


def truth_of(bootstrap: str, transactions: str, labels: str, decisions: str) -> Truth:
    """Take an undisturbed run for the truth, once it was held against the definitions and the model.

    Each record is decided once in it, each feature is what the definitions say within 1e-9, each score what the model
    file says of those features.
    """
    inputs = read_inputs(bootstrap, transactions, labels)
    found = read_decisions(bootstrap, decisions)
    index = index_of(inputs, found.partition, found.offset)
    records = len(inputs.good)
    counts = np.bincount(index, minlength=records)
    assert np.array_equal(counts, inputs.good.astype(np.int64)), "the undisturbed run lost or repeated records"
    features = np.zeros((records, found.features.shape[1]))
    score = np.zeros(records)
    features[index], score[index] = found.features, found.score
    expected = features_of(inputs.events, inputs.labels)
    apart = np.abs(features[inputs.good] - expected)
    assert apart.max() <= FEATURE_APART_MAX, f"feature {apart.max(axis=0).argmax()} is {apart.max()} off"
    assert expected[:, -1].max() > 0, "no terminal risk at all: nothing is tested"
    wrong = np.abs(score[inputs.good] - _scored(features[inputs.good])).max()
    assert wrong <= SCORE_APART_MAX, f"a score of the undisturbed run is {wrong} off the model's"
    return Truth(inputs, features, score)


def _scored(features: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    name, rows = session.get_inputs()[0].name, features.astype(np.float32)
    parts = [
        session.run(None, {name: rows[first : first + SCORED_ROWS]})[0].ravel()
        for first in range(0, len(rows), SCORED_ROWS)
    ]
    return np.concatenate(parts)


def verify(
    bootstrap: str, truth: Truth, decisions: str, dead_letters: str, starts: Mapping[int, int], *, once: bool
) -> Verdict:
    """Hold a run's topics against the truth, see `hold`."""
    return hold(
        truth, read_decisions(bootstrap, decisions), read_dead_letters(bootstrap, dead_letters), starts, once=once
    )


def hold(
    truth: Truth, found: Decisions, letters: list[DeadLetter], starts: Mapping[int, int], *, once: bool
) -> Verdict:
    """Hold what was found against the truth; `starts` is where the run began. With `once` nothing may be there twice.

    Raises AssertionError with the first thing that does not hold.
    """
    inputs = truth.inputs
    letters = [letter for letter in letters if letter.topic == inputs.topic]
    wanted = np.zeros(len(inputs.good), bool)
    for partition, start in starts.items():
        wanted[inputs.starts[partition] + start : inputs.starts[partition + 1]] = True
    assert found.topics <= {inputs.topic}, found.topics
    index = index_of(inputs, found.partition, found.offset)
    decided = np.bincount(index, minlength=len(wanted))
    buried = np.bincount(_letters_index(inputs, letters), minlength=len(wanted))
    _all_ended(inputs, wanted, decided, buried)
    apart = _same_answers(truth, found, index)
    repeats = int(np.maximum(decided - 1, 0).sum() + np.maximum(buried - 1, 0).sum())
    assert not (once and repeats), f"{repeats} outcomes were published more than once"
    return Verdict(int(wanted.sum() - (buried > 0).sum()), int((buried > 0).sum()), repeats, apart)


def _letters_index(inputs: Inputs, letters: list[DeadLetter]) -> Any:
    if not letters:
        return np.empty(0, np.int64)
    partition = np.array([letter.partition for letter in letters])
    index = index_of(inputs, partition, np.array([letter.offset for letter in letters]))
    for record, letter in zip(index.tolist(), letters, strict=True):
        assert record in inputs.bad, f"a good record became a dead letter: {letter}"
        assert inputs.bad[record] == (letter.key, letter.value), f"a dead letter was changed: {letter}"
    return index


def _all_ended(inputs: Inputs, wanted: Any, decided: Any, buried: Any) -> None:
    """A decision for each good record, a dead letter for each bad one, nothing for what came before."""
    for name, has, kind in (("decision", decided, inputs.good), ("dead letter", buried, ~inputs.good)):
        missing = np.flatnonzero(wanted & kind & (has == 0))
        where = [_place(inputs, record) for record in missing[:5].tolist()]
        assert not len(missing), f"{len(missing)} records have no {name}, the first at {where}"
        strange = np.flatnonzero((has > 0) & ~(wanted & kind))
        where = [_place(inputs, record) for record in strange[:5].tolist()]
        assert not len(strange), f"{len(strange)} records have a {name} they should not have, the first at {where}"


def _place(inputs: Inputs, record: int) -> tuple[int, int]:
    partition = int(np.searchsorted(inputs.starts, record, side="right")) - 1
    return partition, record - int(inputs.starts[partition])


def _same_answers(truth: Truth, found: Decisions, index: Any) -> float:
    """Every decision, repeats too, has the features' very bits and the score; returns how far scores are apart."""
    inputs = truth.inputs
    assert found.outcomes <= {"scored"}, f"outcomes are {found.outcomes}"
    row = np.cumsum(inputs.good) - 1
    # What an id is written as is what came: a number stays a number.
    names = np.array([int(name) for name in found.ids], np.int64)
    assert np.array_equal(names, inputs.events["id"][row[index]]), "an id does not belong to its source"
    same = found.features.view(np.int64) == truth.features[index].view(np.int64)
    if not same.all():
        rows, columns = np.nonzero(~same)
        first = rows[0]
        raise AssertionError(
            f"{len(set(rows.tolist()))} decisions differ in features {sorted(set(columns.tolist()))}; first "
            f"{_place(inputs, int(index[first]))}: {found.features[first]} is not {truth.features[index[first]]}"
        )
    apart = float(np.abs(found.score - truth.score[index]).max(initial=0))
    assert apart <= SCORE_APART_MAX, f"a score is {apart} off the undisturbed run's"
    return apart
