"""`headrace simulate`: card traffic on a schedule that does not wait for anybody."""

import json
import time

import click

from pipeline.cli.options import bootstrap_option, config_options, load_config
from pipeline.cli.stopping import stop_on_signals

ENDLESS = 2**60


@click.command()
@config_options
@bootstrap_option
@click.option("--rate", type=click.FloatRange(0), default=2000, show_default=True, help="A second; 0: all at once.")
@click.option("--seconds", type=click.IntRange(1), help="End after so many seconds of traffic.")
@click.option("--count", type=click.IntRange(1), help="End after so many transactions.")
@click.option("--customers", type=click.IntRange(1), help="How many there are; default: 5,000.")
@click.option("--terminals", type=click.IntRange(1), help="How many there are; default: 10,000.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed sends the same events.")
@click.option("--json", "json_", is_flag=True, help="Report what was sent as JSON.")
def simulate(
    name: str,
    assignments: tuple[str, ...],
    bootstrap: str | None,
    rate: float,
    seconds: int | None,
    count: int | None,
    customers: int | None,
    terminals: int | None,
    seed: int,
    json_: bool,
) -> None:
    """Send seeded transactions, and a simulated week later the label of each fraud, until told to stop.

    Simulated time begins 400 days ago and runs as fast as the rate makes it.
    """
    from pipeline.sim.driver import Load, default_start_ms, drive
    from pipeline.sim.transactions import Population

    if not rate and not count:
        raise click.UsageError("--rate 0 sends as fast as possible and needs --count")
    config = load_config(name, assignments, bootstrap).config
    labels = [spec.topic for spec in config.inputs.values() if spec.role == "state"]
    sizes = {"customers": customers, "terminals": terminals}
    load = Load(
        transactions=min(count or ENDLESS, round(rate * seconds) if seconds and rate else ENDLESS),
        rate=rate,
        population=Population(seed=seed, **{name: size for name, size in sizes.items() if size}),
        topic=config.catalog.decided.topic,
        labels_topic=labels[0],
    )
    stop = stop_on_signals()
    start_ms = default_start_ms(time.time_ns() // 1_000_000)
    settings = config.kafka.producer_settings()
    sent = drive(settings, load, start_ms=start_ms, stop=stop.is_set, timeout_ms=config.engine.request_ms_max)
    if json_:
        report = {
            "transactions": sent.transactions,
            "labels": sent.labels,
            "behind_ms_max": round(sent.behind_ms_max, 3),
        }
        click.echo(json.dumps(report))
    else:
        click.echo(
            f"sent {sent.transactions:,} transactions and {sent.labels:,} labels, "
            f"at most {sent.behind_ms_max:,.0f} ms behind schedule"
        )
