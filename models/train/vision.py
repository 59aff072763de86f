"""Training a classifier of images, and registering it: float32, and int8 where it passes its gate."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import jax
import numpy as np

from models.manifest import ImageInput, ModelError, Trained
from models.repository import ModelEntry, Repository
from models.train.augment import Augmentation, Augmenter, shown
from models.train.image_entries import Lineage, Show, register
from models.train.network import Network, Recipe, fit
from models.train.onnx_conv import Layer, network_of
from models.train.pictures import CALIBRATION_SHARE, Chosen, Pictures, check_split, held_out_share
from models.train.quantise import ACCURACY_DROP_MAX, AGREEMENT_MIN

RESUME_IMAGES = 256
LAYERS = (Layer(7, 4, 32), Layer(3, 1, 48), Layer(3, 2, 64), Layer(3, 1, 64), Layer(3, 2, 128))
"""As good as twice as fine a first layer at the same cost, and better for int8: eight bits gain most where a layer
has many channels, nothing where it has one.
"""
SIDE = 96
RECIPE = Recipe(epochs=40)
AUGMENTATION = Augmentation()


@dataclass(frozen=True)
class Plan:
    """What to train, from what, and as what to register it."""

    name: str = "surface-cnn"
    version: str = "1"
    clean: str | None = None
    licence: str = "Apache-2.0"
    side: int | None = None
    """Pixels a side of the input; None is the start's, or `SIDE`. No layer depends on it."""
    channels: Literal[1, 3] = 1
    layers: tuple[Layer, ...] = LAYERS
    start: ModelEntry | None = None
    """The float32 model whose weights and layers it starts from; None starts from noise."""
    image: ImageInput | None = None
    """The input it is to take, as the other model of a cascade does; None: the start's, or of their mean."""
    recipe: Recipe = RECIPE
    augmentation: Augmentation = AUGMENTATION
    agreement_min: float = AGREEMENT_MIN
    accuracy_drop_max: float = ACCURACY_DROP_MAX


def train(
    repository: Repository,
    pictures: Pictures,
    chosen: Chosen,
    held_out: Chosen,
    plan: Plan,
    *,
    data: str,
    when: date,
    seed: int,
    show: Show = shown,
    progress: Callable[[str], None] = lambda text: None,
    written: Callable[[ModelEntry], None] = lambda entry: None,
) -> list[ModelEntry]:
    """Train on the pictures chosen, evaluate on those held out, register; returns the entries, float32 first.

    A tenth of those chosen is kept for the temperature. `show` makes tensors of pictures: give the stream's own
    where pictures have sources. `data` and `when`, the day, are what the manifests say; `written` is told of each
    entry once it is there. Raises ModelError when the pictures do not suffice, and QuantisationError, with the
    float32 model registered alone, when the int8 model is too far from it.
    """
    check_split(pictures, chosen, held_out)
    clean = _index(pictures.names, plan.clean)
    image = _image_of(plan, pictures.chosen(chosen))
    kept = held_out_share(np.where(chosen, pictures.truth, -1), CALIBRATION_SHARE, seed) & chosen
    learnt, tuned, tested = (pictures.chosen(rows) for rows in (chosen & ~kept, kept, held_out))
    network = _network(plan, image, learnt, seed)
    augmenter = Augmenter(learnt, image, plan.augmentation, plan.recipe.batch, seed)
    fit(
        network,
        augmenter.batches,
        augmenter.batches_an_epoch,
        plan.recipe,
        seed,
        lambda epoch, loss: progress(f"epoch {epoch + 1} of {plan.recipe.epochs}, loss {loss:.3f}"),
    )
    progress("measuring, and quantising to int8")
    trained = Trained(
        when=when,
        how=_how(network, plan),
        data=data,
        rows=len(learnt.images),
        positives=int((learnt.truth != clean).sum()),
        seed=seed,
    )
    lineage = Lineage(plan.name, plan.version, plan.clean, plan.licence, trained)
    limits = plan.agreement_min, plan.accuracy_drop_max
    return register(repository, network, image, (learnt, tuned, tested), lineage, limits, show, written)


def _image_of(plan: Plan, pictures: Pictures) -> ImageInput:
    """The input asked for, or the start's at the side asked for, or one with the pictures' mean and deviation."""
    if plan.image is not None:
        return plan.image
    if plan.start is not None:
        image = plan.start.manifest.image
        if image is None:
            raise ModelError(f"{plan.start.path}: takes no image, so there is nothing to start from")
        side = plan.side or image.height
        return image.model_copy(update={"height": side, "width": side})
    ones, none = (1.0,) * plan.channels, (0.0,) * plan.channels
    plain = ImageInput(height=plan.side or SIDE, width=plan.side or SIDE, channels=plan.channels, mean=none, std=ones)
    values = shown(pictures, plain)
    mean, std = values.mean((0, 2, 3)), np.maximum(values.std((0, 2, 3)), 0.01)
    return plain.model_copy(
        update={"mean": tuple(mean.round(4).tolist()), "std": tuple(std.astype(np.float64).round(4).tolist())}
    )


def _network(plan: Plan, image: ImageInput, learnt: Pictures, seed: int) -> Network:
    if plan.start is None:
        return Network(plan.layers, image.channels, len(learnt.names), seed)
    folded = network_of(plan.start.path)
    network = Network(folded.layers, image.channels, len(learnt.names), seed)
    some = np.random.default_rng([seed, 5]).permutation(len(learnt.images))[:RESUME_IMAGES]
    network.resume(folded, shown(learnt.some(some), image))
    return network


def _index(names: tuple[str, ...], name: str | None) -> int:
    if name is not None and name not in names:
        raise ModelError(f"clean class {name}: no such class; there are {', '.join(names)}")
    return -1 if name is None else names.index(name)


def _how(network: Network, plan: Plan) -> str:
    layers = ", ".join(
        f"{layer.kernel}x{layer.kernel}/{layer.stride} to {layer.channels}" for layer in network.layers
    )
    start = "" if plan.start is None else f" from {plan.start.manifest.name}/{plan.start.manifest.version}"
    return f"JAX {jax.__version__}, {plan.recipe.epochs} epochs{start}, convolutions {layers}"
