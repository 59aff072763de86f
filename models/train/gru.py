"""Training the recurrent fraud model: a score by what a card did before, remembered and not recomputed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import jax
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import Catalog
from models.manifest import Manifest, ModelError, StateShape, Trained, write_manifest
from models.recurrent_session import RecurrentSession
from models.repository import MANIFEST_FILE, MODEL_FILE, ModelEntry, Repository, sha256_of
from models.session import CPU
from models.train.evaluate import Quality, Split, evaluate
from models.train.examples import Examples, check_split, examples_of
from models.train.onnx_gru import INPUT, OUTPUT, STATE, STATE_NEXT, RecurrentWeights, step_onnx
from models.train.recurrent import CLIP, Floats, Recipe, Recurrent, Scaling, Sequences, fit

STEPS, WARM_STEPS = 64, 32
"""The events of a sequence, and how many of them, where there are more before, are only there to be remembered."""
PARITY_MAX = 1e-5
PARITY_STEPS, PARITY_CARDS = 48, 64
THRESHOLDS = (0.3, 0.8)


@dataclass(frozen=True)
class Plan:
    """What to train and as what to register it."""

    name: str = "fraud-gru"
    version: str = "1"
    licence: str = "Apache-2.0"
    recipe: Recipe = field(default_factory=Recipe)


def cards_of(customer: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows of each card, in the order they came."""
    order = np.argsort(customer, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(customer[order])) + 1)


def sequences_of(examples: Examples, asked: NDArray[np.bool_]) -> Sequences:
    """Sequences of `STEPS` events that together ask for each of the rows once, each with what came before it."""
    found: list[tuple[NDArray[np.int64], int]] = []
    for rows in cards_of(examples.customer):
        wanted = np.flatnonzero(asked[rows])
        while len(wanted):
            stop = min(len(rows), max(int(wanted[0]) + STEPS - WARM_STEPS, STEPS))
            stop = min(stop, int(wanted[-1]) + 1)
            first = max(0, stop - STEPS)
            found.append((rows[first:stop], int(wanted[0]) - first))
            wanted = wanted[wanted >= stop]
    n, features = len(found), examples.rows.shape[1]
    made = np.zeros((n, STEPS, features), np.float32)
    fraud, given, told = (np.zeros((n, STEPS), np.float32) for _ in range(3))
    for number, (rows, first) in enumerate(found):
        there = slice(STEPS - len(rows), STEPS)
        made[number, there], fraud[number, there], given[number, there] = examples.rows[rows], examples.fraud[rows], 1
        asks = asked[rows].astype(np.float32)
        asks[:first] = 0
        told[number, there] = asks
    return Sequences(made, fraud, given, told)


def train_network(
    examples: Examples,
    chosen: NDArray[np.bool_],
    recipe: Recipe,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> Recurrent:
    """A network trained on the chosen rows; rows before them are only remembered."""
    sequences = sequences_of(examples, chosen)
    network = Recurrent(Scaling.of(examples.rows[chosen]), recipe, seed)
    fit(
        network,
        sequences,
        recipe,
        seed,
        lambda epoch, loss: progress(f"epoch {epoch + 1} of {recipe.epochs}, loss {loss:.4f}"),
    )
    return network


def weights_of(network: Recurrent) -> RecurrentWeights:
    """What the exporter takes."""
    scaling = network.scaling
    return RecurrentWeights(scaling.gain, scaling.factor, scaling.shift, CLIP, network.weights)


def scores_in_order(session: RecurrentSession, rows: Floats, customer: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32[n]: each event scored with the state that all before it of its card have left, from zeros."""
    cards = cards_of(customer)
    state = np.zeros((len(cards), session.state_size), np.float32)
    following = np.zeros_like(state)
    scores, longest = np.zeros(len(rows), np.float32), max((len(card) for card in cards), default=0)
    by_length = sorted(cards, key=len, reverse=True)
    lengths = np.array([len(card) for card in by_length])
    for step in range(longest):
        n = int((lengths > step).sum())
        at = np.array([card[step] for card in by_length[:n]])
        told = np.zeros(n, np.float32)
        session.step(np.ascontiguousarray(rows[at]), state[:n], told, following[:n])
        scores[at], state = told, state.copy()
        state[:n] = following[:n]
    return scores


def register(
    repository: Repository, plan: Plan, network: Recurrent, examples: Examples, trained: Trained
) -> ModelEntry:
    """Write model and manifest, without quality yet. Raises ModelError when its scores are not the network's."""
    folder = repository.folder / plan.name / plan.version
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MODEL_FILE
    path.write_bytes(step_onnx(weights_of(network)).SerializeToString())
    manifest = Manifest(
        name=plan.name,
        version=plan.version,
        kind="gated recurrent unit",
        licence=plan.licence,
        inputs=examples.names,
        input=INPUT,
        output=OUTPUT,
        thresholds=THRESHOLDS,
        sha256=sha256_of(path),
        trained=trained,
        quality={},
        state=StateShape(input=STATE, output=STATE_NEXT, size=network.hidden),
    )
    write_manifest(folder / MANIFEST_FILE, manifest)
    entry = repository.load(plan.name, plan.version)
    _check_parity(session_of(entry, examples), network, examples)
    return entry


def session_of(entry: ModelEntry, examples: Examples) -> RecurrentSession:
    """The session that scores in order, whatever number of cards."""
    return RecurrentSession(entry, providers=[CPU], buckets=[1], feature_names=examples.names)


def _check_parity(session: RecurrentSession, network: Recurrent, examples: Examples) -> None:
    cards = [card[:PARITY_STEPS] for card in cards_of(examples.customer) if len(card) >= PARITY_STEPS][:PARITY_CARDS]
    if not cards:
        return
    chosen = np.concatenate(cards)
    found = scores_in_order(session, examples.rows[chosen], examples.customer[chosen])
    expected = network.scores(np.stack([examples.rows[card] for card in cards])).ravel()
    apart = float(np.abs(found - expected).max())
    if apart > PARITY_MAX:
        raise ModelError(
            f"{session.entry.path}: its scores are {apart:g} from the trained model's, {PARITY_MAX:g} allowed"
        )


def measure(session: RecurrentSession, examples: Examples, tested: NDArray[np.bool_]) -> Quality:
    """How good it is on the rows tested, its state having seen all before them."""
    until = int(np.flatnonzero(tested)[-1]) + 1
    scores = scores_in_order(session, examples.rows[:until], examples.customer[:until])
    rows = np.flatnonzero(tested)
    return evaluate(
        examples.day[rows], examples.customer[rows], examples.fraud[rows], scores[rows].astype(np.float64)
    )


def train(
    repository: Repository,
    catalog: Catalog,
    table: pa.Table,
    *,
    data: str,
    when: date,
    split: Split,
    seed: int,
    plan: Plan | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> ModelEntry:
    """Train on the split's training days, evaluate on its test days, register. Returns the entry.

    `data` and `when`, the day, are what the manifest says of the training. Raises ModelError when the file has not
    the days or frauds that the split needs.
    """
    plan = plan or Plan()
    examples = examples_of(catalog, table, lambda rows: progress(f"features of {rows:,} of {table.num_rows:,} rows"))
    chosen = split.train_rows(examples.day)
    tested = split.test_rows(examples.day, examples.customer, examples.fraud)
    frauds = check_split(examples, split, chosen, tested)
    network = train_network(examples, chosen, plan.recipe, seed, progress)
    recipe = plan.recipe
    how = f"JAX {jax.__version__}, {recipe.epochs} epochs, state {recipe.hidden}, {STEPS} steps back"
    trained = Trained(when=when, how=how, data=data, rows=int(chosen.sum()), positives=frauds, seed=seed)
    entry = register(repository, plan, network, examples, trained)
    progress("measuring")
    quality = measure(session_of(entry, examples), examples, tested)
    write_manifest(
        entry.path.parent / MANIFEST_FILE, entry.manifest.model_copy(update={"quality": quality.as_dict()})
    )
    return repository.load(plan.name, plan.version)
