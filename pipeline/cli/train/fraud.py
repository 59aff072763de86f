"""`headrace train fraud`: models from a file of labelled events, through the stream's own feature kernels."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipeline.cli.options import config_options, load_config
from pipeline.cli.progress import tell_sometimes
from pipeline.cli.train.labelled import labelled_table, split_of, split_options, tell_quality, transactions_option
from pipeline.cli.train.options import extra_missing, out_option, seed_option


@click.command()
@config_options
@transactions_option
@out_option
@seed_option
@split_options
def fraud(
    name: str,
    assignments: tuple[str, ...],
    data: Path,
    out: Path,
    seed: int,
    **days: Any,
) -> None:
    """Train a gradient-boosted model and a light one, measure them on later days, write repository entries."""
    try:
        from models.train.fraud import train as train_models
    except ModuleNotFoundError as error:
        raise extra_missing(error, "train") from None
    from models.repository import Repository

    catalog = load_config(name, assignments).config.catalog
    table = labelled_table(data, catalog.decided)
    entries = train_models(
        Repository(out),
        catalog,
        table,
        data=data.name,
        when=datetime.now(UTC).date(),
        split=split_of(table, catalog.decided.event_time, **days),
        seed=seed,
        progress=tell_sometimes(at_once=True),
    )
    for entry in entries:
        tell_quality(entry)
