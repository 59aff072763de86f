"""What training on labelled events shares: the file, and which of its days are learned from and tested on."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import pyarrow as pa
import pyarrow.compute as pc

from features.catalog import InputSpec
from models.repository import ModelEntry
from pipeline.tables import read_events

if TYPE_CHECKING:
    from models.train.evaluate import Split

F = TypeVar("F", bound=Callable[..., Any])
LABEL_COLUMN = "fraud"


def transactions_option(command: F) -> F:
    """`--data`: the file."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        required=True,
        help="Transactions with a bool column `fraud`: Parquet, CSV or JSON lines, in time order.",
    )(command)


def split_options(command: F) -> F:
    """The days that `split_of` takes."""
    days = click.IntRange(1)
    for option in (
        click.option("--test-days", type=days, default=7, show_default=True),
        click.option(
            "--delay-days", type=click.IntRange(0), default=7, show_default=True, help="Until labels are known."
        ),
        click.option("--train-days", type=days, default=7, show_default=True),
        click.option(
            "--train-from",
            type=click.DateTime(["%Y-%m-%d"]),
            help="First training day (UTC). Default: as late as the file allows.",
        ),
    ):
        command = option(command)
    return command


def labelled_table(data: Path, spec: InputSpec) -> pa.Table:
    """The file's events with their labels. Raises what `read_events` raises."""
    return pa.Table.from_batches(read_events(data, spec, extra=LABEL_COLUMN))


def split_of(
    table: pa.Table, event_time: str, *, train_from: datetime | None, train_days: int, delay_days: int, test_days: int
) -> "Split":
    """The days asked for, the first counted from the file's first."""
    from models.train.evaluate import Split

    ends = pc.min_max(table[event_time]).as_py()
    first: date = ends["min"].date()
    last: date = ends["max"].date()
    begins = max(0, (last - first).days + 1 - (train_days + delay_days + test_days))
    if train_from is not None:
        begins = (train_from.replace(tzinfo=UTC).date() - first).days
    return Split(begins, train_days, delay_days, test_days)


def tell_quality(entry: ModelEntry) -> None:
    """One line: where it is and how good."""
    quality = ", ".join(f"{measure} {value:.3f}" for measure, value in entry.manifest.quality.items())
    click.echo(f"{entry.path.parent}: {quality}")
