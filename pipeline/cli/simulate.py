"""`headrace simulate`: card traffic, or frames of cameras, on a schedule that does not wait for anybody."""

import json
import time
from typing import Any

import click

from pipeline.cli.options import bootstrap_option, config_options, load_config
from pipeline.cli.stopping import stop_on_signals
from pipeline.config.model import PipelineConfig

ENDLESS = 2**60
TRANSACTIONS_A_SECOND = 2000.0


@click.command()
@config_options
@bootstrap_option
@click.option(
    "--rate",
    type=click.FloatRange(0),
    help="A second; 0: all at once. Default: 2,000 transactions, or 25 frames of each camera.",
)
@click.option("--seconds", type=click.IntRange(1), help="End after so many seconds of traffic.")
@click.option("--count", type=click.IntRange(1), help="End after so many transactions or frames.")
@click.option("--customers", type=click.IntRange(1), help="How many there are; default: 5,000.")
@click.option("--terminals", type=click.IntRange(1), help="How many there are; default: 10,000.")
@click.option("--cameras", type=click.IntRange(1, 1000), default=8, show_default=True, help="How many send frames.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed sends the same events.")
@click.option("--json", "json_", is_flag=True, help="Report what was sent as JSON.")
def simulate(
    name: str,
    assignments: tuple[str, ...],
    bootstrap: str | None,
    rate: float | None,
    seconds: int | None,
    count: int | None,
    customers: int | None,
    terminals: int | None,
    cameras: int,
    seed: int,
    json_: bool,
) -> None:
    """Send seeded events of the pipeline's kind until told to stop.

    Transactions: and a simulated week later the label of each fraud; simulated time begins 400 days ago and runs as
    fast as the rate makes it. Frames, where the pipeline decides on images: JPEGs of surfaces with planted defects,
    captured now.
    """
    config = load_config(name, assignments, bootstrap).config
    frames = config.catalog.decided.format == "image"
    if rate is None:
        from pipeline.sim.frames import FRAMES_A_SECOND

        rate = cameras * FRAMES_A_SECOND if frames else TRANSACTIONS_A_SECOND
    if not rate and not count:
        raise click.UsageError("--rate 0 sends as fast as possible and needs --count")
    events = min(count or ENDLESS, round(rate * seconds) if seconds and rate else ENDLESS)
    if frames:
        report = _frames(config, events, rate, cameras, seed)
    else:
        sizes = {"customers": customers, "terminals": terminals}
        report = _transactions(config, events, rate, {name: size for name, size in sizes.items() if size}, seed)
    if json_:
        click.echo(json.dumps(report))
    else:
        sent = " and ".join(f"{value:,} {name}" for name, value in report.items() if name != "behind_ms_max")
        click.echo(f"sent {sent}, at most {report['behind_ms_max']:,.0f} ms behind schedule")


def _frames(config: PipelineConfig, frames: int, rate: float, cameras: int, seed: int) -> dict[str, Any]:
    from pipeline.sim.frames import Belt, FrameLoad, drive_frames

    load = FrameLoad(frames, rate, Belt(cameras=cameras, seed=seed), config.catalog.decided.topic)
    timeout_ms = config.engine.request_ms_max
    sent = drive_frames(config.kafka.producer_settings(), load, stop=stop_on_signals().is_set, timeout_ms=timeout_ms)
    return {"frames": sent.frames, "behind_ms_max": round(sent.behind_ms_max, 3)}


def _transactions(
    config: PipelineConfig, transactions: int, rate: float, sizes: dict[str, int], seed: int
) -> dict[str, Any]:
    from pipeline.sim.driver import Load, default_start_ms, drive
    from pipeline.sim.transactions import Population

    labels = [spec.topic for spec in config.inputs.values() if spec.role == "state"]
    load = Load(
        transactions=transactions,
        rate=rate,
        population=Population(seed=seed, **sizes),
        topic=config.catalog.decided.topic,
        labels_topic=labels[0],
    )
    stop = stop_on_signals()
    start_ms = default_start_ms(time.time_ns() // 1_000_000)
    settings = config.kafka.producer_settings()
    sent = drive(settings, load, start_ms=start_ms, stop=stop.is_set, timeout_ms=config.engine.request_ms_max)
    return {
        "transactions": sent.transactions,
        "labels": sent.labels,
        "behind_ms_max": round(sent.behind_ms_max, 3),
    }
