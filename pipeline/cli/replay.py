"""`headrace replay`: recorded events through the pipeline, or into its topics."""

from pathlib import Path

import click

from pipeline.cli.inputs import input_files, input_options
from pipeline.cli.options import bootstrap_option, config_options, load_config


@click.command()
@input_options
@config_options
@bootstrap_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Decisions as Parquet or JSON lines.")
@click.option("--into-topics", is_flag=True, help="Produce the events instead, for a pipeline that runs.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Events a second into the topics.")
def replay(
    file: Path,
    inputs: tuple[str, ...],
    columns: tuple[str, ...],
    label_column: str | None,
    label_delay: str,
    name: str,
    assignments: tuple[str, ...],
    bootstrap: str | None,
    out: Path | None,
    into_topics: bool,
    rate: float | None,
) -> None:
    """Put the events in FILE (Parquet, CSV or JSON lines) through features, model and decision, without Kafka.

    With --into-topics they are produced to the pipeline's topics, state inputs first. Deadlines mean nothing to
    recorded events: let the pipeline that reads them run with --set pipeline.mode=replay.
    """
    if (out is None) == (not into_topics):
        raise click.UsageError("expected either --out FILE or --into-topics")
    config = load_config(name, assignments, bootstrap).config
    files = input_files(file, inputs, columns, label_column, label_delay)
    from pipeline.cli.progress import with_progress

    if out is not None:
        from pipeline.recorded import decisions_of
        from pipeline.tables import write_table

        write_table(out, with_progress(decisions_of(config, files.open(config)), "decisions", files.rows()))
        return
    from pipeline.cli.checks import check_cluster
    from pipeline.recorded import produce_events

    check_cluster(config)
    for input_name, batches in sorted(
        files.open(config).items(), key=lambda item: item[0] == config.catalog.deciding_input
    ):
        total = files.rows() if input_name == config.catalog.deciding_input else None
        produce_events(config, input_name, with_progress(batches, input_name, total), rate)
