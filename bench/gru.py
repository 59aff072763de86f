"""A model that remembers against one that looks back: what an event costs, and how good the scores are.

CPU time of the process, the ways of a round interleaved, the median of rounds. What is compared at each size of
batch: one step with the state in the feature state, found, gathered and put back; and the same network over the last
32 events of each card, whose features lie in a ring, by ONNX's GRU operator or by 32 steps written out, whichever is
cheaper there.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq
from onnx import ModelProto

from bench._machine import RESULTS, save
from features.columns import Columns
from features.memory_bound import MemoryBound
from features.model_state import ModelState, ModelStatePlan
from features.schema import NUMBER, EventField, Schema
from models.manifest import Trained
from models.recurrent_session import RecurrentSession
from models.repository import Repository
from models.session import CPU
from models.train.evaluate import Split, evaluate
from models.train.examples import examples_of
from models.train.fraud import GBT, GBT_TREES, fit
from models.train.gru import Plan, measure, register, session_of, train_network
from models.train.onnx_gru import INPUT, recurrent_weights, sequence_onnx, steps_onnx
from pipeline.config.load import load
from pipeline.recurrence import Recurrence

BUCKETS = (1, 8, 32, 64, 128, 256, 512)
STEPS = 32
CARDS = 100_000
EVENTS_A_ROUND = 2048
HANDBOOK = Split(train_from=115)
"""2018-07-25, counted from the file's first day."""


UNTOLD = Trained(when=date(2026, 2, 3), how="bench", data="bench", rows=0, positives=0, seed=0)


class Remembering:
    """One step an event, with all that belongs to it; `bare` is the session alone."""

    def __init__(self, session: RecurrentSession, features: int) -> None:
        self._columns = Columns(Schema(fields={"card": EventField(type="id")}), CARDS)
        self._columns.value[0], self._columns.length[0] = np.arange(CARDS), NUMBER
        plan = ModelStatePlan("primary", "card", 0, CARDS, session.state_size, "")
        self.state = ModelState(plan, MemoryBound(1 << 30))
        self._session = session
        self._recurrence = Recurrence(plan, session, features, max(BUCKETS))
        self.rows = np.random.default_rng(0).uniform(0, 60, (CARDS, features)).astype(np.float32)
        self._score = np.zeros(CARDS, np.float32)
        self._taken = 0

    def whole(self, cards: Any) -> None:
        blocks = np.empty(len(cards), np.int64)
        self.state.find(self._columns, cards, blocks)
        sequence = np.arange(self._taken, self._taken + len(cards))
        self._taken += len(cards)
        self._recurrence.score(self.rows, cards, blocks, sequence, self._score)

    def bare(self, cards: Any) -> None:
        n, size = len(cards), self._session.state_size
        state, following = np.zeros((n, size), np.float32), np.zeros((n, size), np.float32)
        self._session.step(self.rows[:n], state, self._score[:n], following)


class LookingBack:
    """The last events of each card, and the network over all of them for each event."""

    def __init__(self, model: ModelProto, rows: Any) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=[CPU])
        self._rows = rows
        self._ring = np.zeros((CARDS, STEPS, rows.shape[1]), np.float32)
        self._next = np.zeros(CARDS, np.int64)
        self.bytes_a_card = self._ring[0].nbytes

    def whole(self, cards: Any) -> None:
        place = self._next[cards] % STEPS
        self._ring[cards, place] = self._rows[cards]
        self._next[cards] += 1
        order = (place[:, None] + 1 + np.arange(STEPS)) % STEPS
        self._session.run(None, {INPUT: np.ascontiguousarray(self._ring[cards[:, None], order].transpose(1, 0, 2))})

    def bare(self, cards: Any) -> None:
        given = np.ascontiguousarray(self._ring[: len(cards)].transpose(1, 0, 2))
        self._session.run(None, {INPUT: given})


def cost(rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    entry = Repository.shipped().load("fraud-gru", "1")
    weights = recurrent_weights(entry.path)
    names = entry.manifest.inputs
    session = RecurrentSession(entry, providers=[CPU], buckets=BUCKETS, feature_names=names)
    ours = Remembering(session, len(names))
    ways = {
        "step": ours,
        "operator": LookingBack(sequence_onnx(weights, STEPS), ours.rows),
        "written out": LookingBack(steps_onnx(weights, STEPS), ours.rows),
    }
    random, found = np.random.default_rng(1), {}
    ours.whole(np.arange(CARDS, dtype=np.int32))
    for rows in BUCKETS:
        took: dict[str, list[float]] = {f"{name}, {part}": [] for name in ways for part in ("whole", "bare")}
        for number in range(rounds + 1):
            cards = random.permutation(CARDS)[:EVENTS_A_ROUND].astype(np.int32)
            for name, way in ways.items():
                for part in ("whole", "bare"):
                    run = getattr(way, part)
                    batches = [cards[first : first + rows] for first in range(0, len(cards), rows)]
                    batches = batches[: max(8, 512 // rows)]
                    begun_ns = time.process_time_ns()
                    for batch in batches:
                        run(batch)
                    us = (time.process_time_ns() - begun_ns) / sum(map(len, batches)) / 1000
                    if number:
                        took[f"{name}, {part}"].append(us)
        us_an_event = {name: float(np.median(each)) for name, each in took.items()}
        found[str(rows)] = us_an_event
        again = {part: min(us_an_event[f"{way}, {part}"] for way in list(ways)[1:]) for part in ("whole", "bare")}
        times = {part: again[part] / us_an_event[f"step, {part}"] for part in again}
        found[str(rows)]["times, whole"], found[str(rows)]["times, bare"] = times["whole"], times["bare"]
        progress(f"{rows:4} rows: { ({name: round(us, 2) for name, us in us_an_event.items()}) }")
    return {
        "us_an_event": found,
        "steps": STEPS,
        "state_bytes_a_card": ours.state.plan.bytes_a_key,
        "ring_bytes_a_card": ways["operator"].bytes_a_card,
    }


def quality(data: Path, seeds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Both on the Handbook's split, each seed: trained there, nothing is kept."""
    catalog = load("fraud", environ={}).config.catalog
    examples = examples_of(catalog, pq.read_table(data), lambda rows: progress(f"features of {rows:,} rows"))
    chosen = HANDBOOK.train_rows(examples.day)
    tested = HANDBOOK.test_rows(examples.day, examples.customer, examples.fraud)
    found: dict[str, list[dict[str, float]]] = {"gru": [], "gbt": []}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            network = train_network(examples, chosen, Plan().recipe, seed, progress)
            entry = register(Repository(Path(folder)), Plan(), network, examples, UNTOLD)
            found["gru"].append(measure(session_of(entry, examples), examples, tested).as_dict())
        score = np.asarray(fit(examples, chosen, GBT, GBT_TREES, seed).predict(examples.rows[tested]), np.float64)
        known = (examples.day[tested], examples.customer[tested], examples.fraud[tested])
        found["gbt"].append(evaluate(*known, score).as_dict())
        progress(f"seed {seed}: GRU {found['gru'][-1]}, GBT {found['gbt'][-1]}")
    mean = {
        model: {name: float(np.mean([each[name] for each in told])) for name in told[0]}
        for model, told in found.items()
    }
    return {"seeds": found, "mean": mean}


def plot(found: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    figure, axis = plt.subplots(figsize=(7, 4))
    sizes = [int(rows) for rows in found]
    for name in ("step", "operator", "written out"):
        label = {"step": "one step", "operator": "32 steps, GRU operator", "written out": "32 steps, written out"}[
            name
        ]
        axis.plot(sizes, [found[str(rows)][f"{name}, whole"] for rows in sizes], "o-", label=label)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_formatter(ScalarFormatter())
    axis.set_xlabel("rows a batch")
    axis.set_ylabel("µs of CPU an event, state and all")
    axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "gru.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", type=Path, help="the Handbook's transactions with labels: its quality too")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()

    def told(text: str) -> None:
        print(text, flush=True)

    found = cost(arguments.rounds, told)
    if arguments.data is not None:
        found["quality"] = quality(arguments.data, arguments.seeds, told)
    save("gru", found)
    plot(found["us_an_event"])


if __name__ == "__main__":
    main()
