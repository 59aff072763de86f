"""`headrace backfill`: the features of a file, by the kernels that serve the stream."""

from pathlib import Path

import click

from pipeline.cli.inputs import input_files, input_options
from pipeline.cli.options import config_options, load_config


@click.command()
@input_options
@config_options
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A Parquet file.")
def backfill(
    file: Path,
    inputs: tuple[str, ...],
    columns: tuple[str, ...],
    label_column: str | None,
    label_delay: str,
    name: str,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Compute the features of the events in FILE (Parquet, CSV or JSON lines), without Kafka.

    The output has the event's id and time and one float64 column a feature, in FILE's order. Inputs are merged
    by the time they came to be known, as a replay does.
    """
    from features.backfill import backfill as features_of
    from pipeline.cli.progress import with_progress
    from pipeline.tables import write_table

    config = load_config(name, assignments).config
    files = input_files(file, inputs, columns, label_column, label_delay)
    batches = features_of(config.catalog, files.open(config), config.engine.memory_bytes_max)
    write_table(out, with_progress(batches, "features", files.rows()))
