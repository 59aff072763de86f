"""Labelled rows that a model was not trained on: a user's file or folder, or fresh ones of the simulators."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.manifest import Manifest, ModelError
from pipeline.config.load import Loaded
from pipeline.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from models.optimise.study import Sample

Tell = Callable[[str], None]
LABEL_COLUMN = "fraud"
SIMULATED_SEED, SIMULATED_DAYS = 1008, 54
"""Traffic that no shipped model was trained on; windows reach 37 days back."""
START_MS = 1_609_459_200_000  # 2021-01-01
DRAWN_SEED, DRAWN_PER_CLASS, DRAWN_OTHERS = 1008, 150, 40


def sample_for(
    manifest: Manifest,
    loaded: Loaded,
    data: Path | None,
    test_days: int,
    numbers: tuple[int, int] | None,
    tell: Tell,
) -> "Sample":
    """Held-out rows for the model, and others to make variants with.

    Of events the last `test_days` days are held out, and the days before them, twice as many, are the others; of
    images those whose names end in one of `numbers`, else a fifth of each class. Raises ConfigError or ModelError
    where they do not fit the model.
    """
    if manifest.image is not None:
        return _drawn(manifest, tell) if data is None else _folder(manifest, data, numbers, tell)
    catalog = loaded.config.catalog
    if tuple(catalog.features) != manifest.inputs:
        raise ConfigError(
            "",
            [
                Problem(
                    "--config",
                    f"{loaded.config.pipeline.name} declares the features {', '.join(catalog.features) or 'none'}; "
                    f"{manifest.name}/{manifest.version} takes {', '.join(manifest.inputs)}",
                )
            ],
        )
    return _events(loaded, data, test_days, tell)


def _events(loaded: Loaded, data: Path | None, test_days: int, tell: Tell) -> "Sample":
    from models.optimise.study import Sample
    from models.train.examples import examples_of
    from pipeline.tables import read_events

    catalog = loaded.config.catalog
    if data is None:
        from pipeline.sim.table import simulated_table
        from pipeline.sim.transactions import Population

        tell(f"simulating {SIMULATED_DAYS} days of transactions")
        table = simulated_table(Population(seed=SIMULATED_SEED), SIMULATED_DAYS, START_MS)
        told = f"simulated: seed {SIMULATED_SEED}, {SIMULATED_DAYS} days, the last {test_days} held out"
    else:
        table = pa.Table.from_batches(read_events(data, catalog.decided, extra=LABEL_COLUMN))
        told = f"{data.name}, the last {test_days} days held out"
    examples = examples_of(catalog, table, lambda rows: tell(f"features of {rows:,} of {table.num_rows:,} rows"))
    first = int(examples.day[-1]) + 1 - test_days
    held = examples.day >= first
    others = ~held & (examples.day >= first - 2 * test_days)
    frauds = int(examples.fraud[held].sum())
    if frauds < 10 or not others.any():
        raise ModelError(
            f"{told}: {frauds} frauds among {int(held.sum())} held-out rows and {int(others.sum())} others, "
            "expected at least 10 and 1"
        )
    rows = examples.rows
    return Sample(told, np.ascontiguousarray(rows[held]), examples.fraud[held], np.ascontiguousarray(rows[others]))


def _drawn(manifest: Manifest, tell: Tell) -> "Sample":
    from models.train.pictures import Pictures
    from pipeline.image.folder import shown
    from pipeline.sim.ship_surfaces import SEED, jpeg
    from pipeline.sim.surfaces import CLASSES

    if manifest.classes != CLASSES:
        raise ModelError(
            f"{manifest.name}/{manifest.version}: its classes are {', '.join(manifest.classes)}, no surface can be "
            f"drawn of them (drawn are {', '.join(CLASSES)}): name a folder with --data"
        )
    image = manifest.image
    assert image is not None
    per_class = DRAWN_PER_CLASS + DRAWN_OTHERS
    numbers = np.arange(per_class * len(CLASSES))
    truth = numbers // per_class
    tell(f"drawing {len(numbers):,} surfaces")
    # Training counts from 0 with this seed: these numbers are far above.
    sources = [
        partial(bytes, jpeg(DRAWN_SEED * 1_000 + number, CLASSES[label]))
        for number, label in enumerate(truth.tolist())
    ]
    rows = shown(Pictures(CLASSES, [], truth, sources), image)
    held = numbers % per_class < DRAWN_PER_CLASS
    told = f"drawn: seed {SEED}, {DRAWN_PER_CLASS} surfaces of each class from number {DRAWN_SEED * 1_000} on"
    return _sample(told, rows, truth, held)


def _folder(manifest: Manifest, data: Path, numbers: tuple[int, int] | None, tell: Tell) -> "Sample":
    from models.train.pictures import Pictures, held_out_share, within
    from pipeline.image.folder import list_folder, shown

    folder, image = list_folder(data), manifest.image
    assert image is not None
    if strangers := sorted(set(folder.names) - set(manifest.classes)):
        raise ModelError(
            f"{data}: {', '.join(strangers)} is no class of {manifest.name}/{manifest.version}, which has "
            f"{', '.join(manifest.classes)}"
        )
    truth = np.array([manifest.classes.index(name) for name in folder.names])[folder.truth]
    held = within(folder.numbers, numbers) if numbers else held_out_share(truth, 0.2, 0)
    if not held.any() or held.all():
        raise ModelError(f"{data}: {int(held.sum())} of {len(held)} images are held out, expected some but not all")
    tell(f"reading {len(folder.files):,} images")
    rows = shown(Pictures(manifest.classes, [], truth, [path.read_bytes for path in folder.files]), image)
    return _sample(f"{data.name}, {int(held.sum())} of {len(held)} images held out", rows, truth, held)


def _sample(told: str, rows: NDArray[np.float32], truth: NDArray[np.int64], held: NDArray[np.bool_]) -> "Sample":
    from models.optimise.study import Sample

    return Sample(told, np.ascontiguousarray(rows[held]), truth[held], np.ascontiguousarray(rows[~held]))


def data_option(command: Callable[..., None]) -> Callable[..., None]:
    """`--data`, `--test-days` and `--holdout-numbers`: what a model is measured on."""
    from pipeline.cli.train.options import span

    for option in (
        click.option(
            "--holdout-numbers",
            metavar="FIRST-LAST",
            callback=span,
            help="Of a folder: hold out files whose name ends in such a number. Default: a fifth of each class.",
        ),
        click.option(
            "--test-days",
            type=click.IntRange(1),
            default=7,
            show_default=True,
            help="Of events: hold out this many last days.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path, exists=True),
            help="Events with a bool column `fraud` (Parquet, CSV or JSON lines), or a folder of images for each "
            "class, that the model was not trained on. Default: freshly simulated ones.",
        ),
    ):
        command = option(command)
    return command
