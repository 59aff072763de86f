"""`headrace train vision`: a classifier of images from a folder for each class, through the stream's own decoder."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from models.manifest import ImageInput, ModelError
from models.repository import ModelEntry, Repository
from pipeline.cli.progress import tell_sometimes
from pipeline.cli.train.options import Span, extra_missing, out_option, seed_option, span

if TYPE_CHECKING:
    from models.train.vision import Plan
    from pipeline.image.folder import Folder

RATE_FROM_START = 1.5e-3
"""Half of the usual, so that the weights started from are not lost at once."""


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder that holds a folder of JPEG or PNG files for each class, named after it.",
)
@out_option
@click.option("--name", default="surface-cnn", show_default=True, help="What to register it as; int8 as NAME-int8.")
@seed_option
@click.option(
    "--holdout",
    type=click.FloatRange(0.01, 0.9),
    default=0.2,
    show_default=True,
    help="The share of each class, drawn by the seed, that is not trained on and measures the model.",
)
@click.option(
    "--train-numbers",
    metavar="FIRST-LAST",
    callback=span,
    help="Train on files whose name ends in such a number, 1-200 say. Default: all that are not held out.",
)
@click.option(
    "--holdout-numbers",
    metavar="FIRST-LAST",
    callback=span,
    help="Hold out files whose name ends in such a number. Default, with --train-numbers: all others.",
)
@click.option(
    "--clean",
    metavar="CLASS",
    help="The class that is no defect: a frame's score is 1 less its probability. Without one the score is the "
    "likeliest class's probability, and a pipeline has to say in [decide.classes] which class means which decision.",
)
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    help="Start from the weights of a float32 model: NAME/VERSION of the shipped ones, or the folder of an entry. "
    "Default: from noise.",
)
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True)
@click.option(
    "--side",
    type=click.IntRange(16, 512),
    help="The model's input is this many pixels high and wide. Default: 96, or as --from has it.",
)
@click.option(
    "--agreement-min",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="int8 is registered only if it puts this share of held-out images in the same class as float32,",
)
@click.option(
    "--accuracy-drop-max",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="and if its accuracy is lower by this at most.",
)
def vision(
    data: Path,
    out: Path,
    name: str,
    seed: int,
    holdout: float,
    train_numbers: Span | None,
    holdout_numbers: Span | None,
    **asked: Any,
) -> None:
    """Train a small convolutional network on labelled images, measure it on those held out, write repository entries.

    Two entries are written: float32, and int8, which takes less time and a quarter of the space, if it passes its
    limits. Every image is decoded, cropped and resized as the pipeline does it.
    """
    try:
        from models.train.vision import SIDE
        from models.train.vision import train as train_models
    except ModuleNotFoundError as error:
        raise extra_missing(error, "vision-train") from None
    from pipeline.image.folder import list_folder, read_pictures, shown

    tell = tell_sometimes(at_once=True)
    plan = _plan(name, asked)
    folder = list_folder(data)
    chosen, held_out = _split(folder, train_numbers, holdout_numbers, holdout, seed)
    files = [folder.files[row] for row in np.flatnonzero(chosen | held_out).tolist()]
    pictures = read_pictures(
        folder.names,
        [path.read_bytes for path in files],
        folder.truth[chosen | held_out],
        plan.side or (SIDE if plan.start is None else image_of(plan.start).height),
        plan.channels if plan.start is None else image_of(plan.start).channels,
        lambda number: f"{files[number]}",
        lambda done: tell(f"read {done:,} of {len(files):,} images"),
    )
    train_models(
        Repository(out),
        pictures,
        chosen[chosen | held_out],
        held_out[chosen | held_out],
        plan,
        data=data.name,
        when=datetime.now(UTC).date(),
        seed=seed,
        show=shown,
        progress=tell,
        written=_tell_result,
    )


def _plan(name: str, asked: dict[str, Any]) -> "Plan":
    from models.train.network import Recipe
    from models.train.vision import Plan

    start = None if asked["start"] is None else _entry_of(asked["start"])
    return Plan(
        name=name,
        clean=asked["clean"],
        side=asked["side"],
        start=start,
        recipe=Recipe(asked["epochs"]) if start is None else Recipe(asked["epochs"], rate=RATE_FROM_START),
        agreement_min=asked["agreement_min"],
        accuracy_drop_max=asked["accuracy_drop_max"],
    )


def image_of(entry: ModelEntry) -> ImageInput:
    """What the model takes. Raises ModelError where it is no image."""
    if entry.manifest.image is None:
        raise ModelError(f"{entry.path}: takes features, not an image; expected a model of `headrace train vision`")
    return entry.manifest.image


def _entry_of(text: str) -> ModelEntry:
    """`NAME/VERSION` of the shipped models, or an entry's folder."""
    if Path(text).is_dir():
        folder = Path(text).resolve()
        return Repository(folder.parent.parent).load(folder.parent.name, folder.name)
    name, _, version = text.partition("/")
    return Repository.shipped().load(name, version)


def _split(
    folder: "Folder", train: Span | None, held_out: Span | None, share: float, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool[files] twice: what to train on, what to hold out."""
    from models.train.pictures import held_out_share, within

    if train is None and held_out is None:
        held = held_out_share(folder.truth, share, seed)
        return ~held, held
    if (folder.numbers < 0).any():
        first = folder.files[int(np.argmax(folder.numbers < 0))]
        raise ModelError(f"{first}: its name does not end in a number, and files are chosen by number")
    if train is not None and held_out is not None:
        return within(folder.numbers, train), within(folder.numbers, held_out)
    if train is not None:
        chosen = within(folder.numbers, train)
        return chosen, ~chosen
    assert held_out is not None
    held = within(folder.numbers, held_out)
    return ~held, held


def _tell_result(entry: ModelEntry) -> None:
    """What an operator wants to know of an entry just written."""
    manifest = entry.manifest
    quality = ", ".join(f"{measure} {value:.4f}" for measure, value in manifest.quality.items())
    click.echo(f"{entry.path.parent}: {quality}")
    if manifest.speed is not None and manifest.calibration is not None:
        took = ", ".join(
            f"{us:g} of {n}" for n, us in zip(manifest.speed.batch, manifest.speed.us_a_row, strict=True)
        )
        click.echo(
            f"  {manifest.speed.file_bytes:,} bytes; us an image in batches: {took} ({manifest.speed.machine})"
        )
        click.echo(f"  calibration error {manifest.calibration.ece_after:.4f}")
    if manifest.parity is not None:
        parity = manifest.parity
        click.echo(f"  same class as {parity.reference} on {parity.agreement:.2%} of {parity.images} images")
    else:
        width = max(len(name) for name in manifest.classes)
        for name, counts in manifest.confusion.items():
            click.echo(f"  {name:{width}}  {' '.join(f'{count:5}' for count in counts)}")
        if manifest.clean is None:
            click.echo(
                "  no class is clean: the score is the likeliest class's probability, and a pipeline has to say in "
                "[decide.classes] which class means which decision"
            )
