"""`headrace train gru`: a model that remembers each card, from a file of labelled events."""

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
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--state", type=click.IntRange(1, 256), default=32, show_default=True, help="Numbers kept of a card.")
@split_options
def gru(
    name: str,
    assignments: tuple[str, ...],
    data: Path,
    out: Path,
    seed: int,
    epochs: int,
    state: int,
    **days: Any,
) -> None:
    """Train a recurrent model that remembers each card, measure it on later days, write a repository entry.

    It goes one step an event: what it remembers of a card is kept in the feature state.
    """
    try:
        from models.train.gru import Plan
        from models.train.gru import train as train_model
        from models.train.recurrent import Recipe
    except ModuleNotFoundError as error:
        raise extra_missing(error, "gru-train") from None
    from models.repository import Repository

    catalog = load_config(name, assignments).config.catalog
    table = labelled_table(data, catalog.decided)
    entry = train_model(
        Repository(out),
        catalog,
        table,
        data=data.name,
        when=datetime.now(UTC).date(),
        split=split_of(table, catalog.decided.event_time, **days),
        seed=seed,
        plan=Plan(recipe=Recipe(epochs=epochs, hidden=state)),
        progress=tell_sometimes(at_once=True),
    )
    tell_quality(entry)
