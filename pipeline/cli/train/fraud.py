"""`headrace train fraud`: models from a file of labelled events, through the stream's own feature kernels."""

from datetime import UTC, date, datetime
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cli.options import config_options, load_config
from pipeline.cli.progress import tell_sometimes
from pipeline.cli.train.options import extra_missing, out_option, seed_option
from pipeline.tables import read_events

LABEL_COLUMN = "fraud"


@click.command()
@config_options
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Transactions with a bool column `fraud`: Parquet, CSV or JSON lines, in time order.",
)
@out_option
@seed_option
@click.option(
    "--train-from",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First training day (UTC). Default: as late as the file allows.",
)
@click.option("--train-days", type=click.IntRange(1), default=7, show_default=True)
@click.option("--delay-days", type=click.IntRange(0), default=7, show_default=True, help="Until labels are known.")
@click.option("--test-days", type=click.IntRange(1), default=7, show_default=True)
def fraud(
    name: str,
    assignments: tuple[str, ...],
    data: Path,
    out: Path,
    seed: int,
    train_from: datetime | None,
    train_days: int,
    delay_days: int,
    test_days: int,
) -> None:
    """Train a gradient-boosted model and a light one, measure them on later days, write repository entries."""
    try:
        from models.train.fraud import train as train_models
    except ModuleNotFoundError as error:
        raise extra_missing(error, "train") from None
    from models.repository import Repository
    from models.train.evaluate import Split

    catalog = load_config(name, assignments).config.catalog
    table = pa.Table.from_batches(read_events(data, catalog.decided, extra=LABEL_COLUMN))
    span = train_days + delay_days + test_days
    split = Split(_first_day(table, catalog.decided.event_time, train_from, span), train_days, delay_days, test_days)
    entries = train_models(
        Repository(out),
        catalog,
        table,
        data=data.name,
        when=datetime.now(UTC).date(),
        split=split,
        seed=seed,
        progress=tell_sometimes(at_once=True),
    )
    for entry in entries:
        quality = ", ".join(f"{measure} {value:.3f}" for measure, value in entry.manifest.quality.items())
        click.echo(f"{entry.path.parent}: {quality}")


def _first_day(table: pa.Table, event_time: str, asked: datetime | None, span_days: int) -> int:
    """The first training day, counted from the file's first."""
    ends = pc.min_max(table[event_time]).as_py()
    first: date = ends["min"].date()
    last: date = ends["max"].date()
    if asked is not None:
        return (asked.replace(tzinfo=UTC).date() - first).days
    return max(0, (last - first).days + 1 - span_days)
