"""`headrace cost`: what decisions cost, by tenant, model and tier."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import bootstrap_option, config_options, load_config
from pipeline.cli.progress import tell_sometimes
from pipeline.cli.topics import Duration
from pipeline.errors import HeadraceError

if TYPE_CHECKING:
    from pipeline.config.model import PipelineConfig
    from pipeline.wire.metrics import MetricsRecord

MS_PER_S = 1_000


class NothingToBillError(HeadraceError):
    """There is no record of the time that was asked for."""


@click.command()
@config_options
@bootstrap_option
@click.option("--since", type=Duration(), default="1h", show_default=True, help="How far back, of the metrics topic.")
@click.option("--until", type=Duration(), default="0s", show_default=True, help="How far back it ends.")
@click.option("--url", metavar="URL", help="Ask this process instead, e.g. http://127.0.0.1:9464: since its start.")
@click.option("--token", default="", help="What it asks for; default: http.token.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read this file instead: values of the metrics topic, one a line.",
)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.option("--csv", "csv_", is_flag=True, help="The lines as CSV.")
def cost(
    name: str,
    assignments: tuple[str, ...],
    bootstrap: str | None,
    since: int,
    until: int,
    url: str | None,
    token: str,
    file: Path | None,
    json_: bool,
    csv_: bool,
) -> None:
    """Print the bill: CPU, GPU, energy and money by tenant, model and tier, and what a million decisions cost.

    Prices and what counts as a detected case are those of [cost] in the configuration.
    """
    from pipeline.bill.prices import prices_of
    from pipeline.bill.statement import statement_of
    from pipeline.cli.cost_view import as_csv, as_json, show

    if (url is not None) + (file is not None) > 1 or (json_ and csv_):
        raise click.UsageError("expected one of --url and --file, and one of --json and --csv")
    config = load_config(name, assignments, bootstrap).config
    records = _records(config, since, until, url, token, file)
    statements = statement_of(records, prices_of(config.cost), config.cost.detected)
    if not statements:
        where = url or file or f"topic {config.topics.metrics!r}"
        raise NothingToBillError(f"{where}: holds no metrics record of that time; is a pipeline running?")
    if json_:
        click.echo(as_json(statements))
    elif csv_:
        click.echo(as_csv(statements), nl=False)
    else:
        show(statements)


def _records(
    config: "PipelineConfig", since: int, until: int, url: str | None, token: str, file: Path | None
) -> "Iterable[MetricsRecord]":
    from pipeline.bill.sources import of_file, of_process, of_topic

    if file is not None:
        return of_file(file)
    if url is not None:
        return [of_process(url, token or config.http.token)]
    now_ms = int(time.time() * MS_PER_S)
    settings, timeout_ms = config.kafka.admin_settings(), config.engine.request_ms_max
    return of_topic(settings, config.topics.metrics, now_ms - since, now_ms - until, timeout_ms, tell_sometimes())
