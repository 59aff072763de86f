"""`headrace plan`: what a load would do to a pipeline, and how many processes it needs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import config_options, load_config
from pipeline.cli.progress import tell_sometimes
from pipeline.config.load import Loaded
from pipeline.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from pipeline.sim.curves import Costs
    from pipeline.sim.forecast import Forecast
    from pipeline.sim.plan import Planner

EVENTS_WANTED = 300_000
SECONDS_MIN, SECONDS_MAX = 10.0, 300.0
EVENTS_MIN, EVENTS_MAX = 1_000, 10_000_000
LIVE = "measured"


@click.command()
@config_options
@click.option("--rate", type=click.FloatRange(0, min_open=True), required=True, help="Events a second, all together.")
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "bursty", "diurnal", "flash-crowd"]),
    default="poisson",
    show_default=True,
    help="How they arrive; the rate is their mean, for a flash crowd the usual one.",
)
@click.option(
    "--curve",
    default=LIVE,
    show_default=True,
    metavar=f"FILE|{LIVE}",
    help="What a row costs by batch size, as --save-curve writes it; else the models are measured now.",
)
@click.option("--save-curve", type=click.Path(path_type=Path, dir_okay=False), help="Keep the curves for next time.")
@click.option(
    "--slo",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.999,
    show_default=True,
    help="The share of events to be scored by the best tier and delivered inside their deadline.",
)
@click.option("--any-tier", is_flag=True, help="A lower tier's score in time counts for the SLO too.")
@click.option("--partitions", type=click.IntRange(1, 10_000), default=12, show_default=True, help="Of the topic.")
@click.option("--processes", type=click.IntRange(1, 10_000), help="Do not search: forecast this number.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Of traffic; default: about 300,000 events.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same plan.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it into this file, e.g. plan.png."
)
@click.option("--json", "json_", is_flag=True, help="The forecasts as JSON.")
def plan(
    name: str,
    assignments: tuple[str, ...],
    rate: float,
    arrivals: str,
    curve: str,
    save_curve: Path | None,
    slo: float,
    any_tier: bool,
    partitions: int,
    processes: int | None,
    seconds: float | None,
    seed: int,
    plot: Path | None,
    json_: bool,
) -> None:
    """Run the pipeline's own batcher and cost models in virtual time under a load, with 1, 2, ... processes.

    Each process gets an even share of the partitions and cores of its own. Nothing is sent and no Kafka is
    needed. The loop's own costs are those of the fraud pipeline on our machine unless the curve file says
    `loop_us`.
    """
    loaded = load_config(name, assignments)
    length_s = seconds or min(SECONDS_MAX, max(SECONDS_MIN, EVENTS_WANTED / rate))
    _check(loaded, processes, partitions)
    _check_events(arrivals, rate, length_s)
    _check_files({"--save-curve": save_curve, "--plot": plot})
    from pipeline.sim.plan import Load, Planner

    tell = tell_sometimes()
    if loaded.config.routes:
        click.echo("routes are not simulated: every event takes the pipeline's own ladder and budget", err=True)
    costs = _costs(loaded, curve, save_curve)
    planner = Planner(loaded.config, costs, Load(rate, arrivals, length_s, partitions, seed), tell)
    chosen = planner.forecast(processes) if processes else planner.fewest(lambda it: _share(it, any_tier) >= slo)
    _report(loaded, planner, chosen, slo=slo, any_tier=any_tier, searched=processes is None, json_=json_)
    if plot is not None:
        from pipeline.cli.plan_plot import draw

        draw(plot, planner.tried, chosen or planner.tried[-1], loaded.config.pipeline.budget_ms, slo)
        click.echo(f"drawn into {plot}", err=True)


def _share(forecast: "Forecast", any_tier: bool) -> float:
    return forecast.in_time if any_tier else forecast.good


def _check(loaded: Loaded, processes: int | None, partitions: int) -> None:
    if loaded.config.pipeline.mode == "replay":
        text = "a replay has no deadlines and no rate: there is nothing to plan; expected live"
        raise ConfigError(loaded.source.name, [Problem("pipeline.mode", text)])
    if processes is not None and processes > partitions:
        raise click.UsageError(f"--processes {processes}: {partitions} partitions keep at most as many busy")


def _check_events(arrivals: str, rate: float, length_s: float) -> None:
    from pipeline.sim.arrivals import expected_events

    events = expected_events(arrivals, rate, length_s)
    if not EVENTS_MIN <= events <= EVENTS_MAX:
        advice = "too few to tell a share from: raise" if events < EVENTS_MIN else "too many to simulate: lower"
        raise click.UsageError(
            f"{events:,.0f} events in {length_s:g} s are {advice} --seconds, "
            f"expected {EVENTS_MIN:,} to {EVENTS_MAX:,}"
        )


def _check_files(files: dict[str, Path | None]) -> None:
    """Before anything is simulated: whether what comes out can be kept and drawn."""
    for option, path in files.items():
        if path is not None and not path.absolute().parent.is_dir():
            raise click.UsageError(f"{option} {path}: there is no folder {path.parent}")
    plot = files["--plot"]
    if plot is None:
        return
    try:
        from pipeline.cli.plan_plot import formats
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed; --plot needs the extra: pip install 'headrace[plot]'"
        raise ConfigError("", [Problem("", text)]) from None
    known = formats()
    if plot.suffix.lstrip(".") not in known:
        raise click.UsageError(f"--plot {plot}: expected a name that ends in one of {', '.join(known)}")


def _costs(loaded: Loaded, curve: str, save_curve: Path | None) -> "Costs":
    from pipeline.sim.curves import as_file, read_costs

    if curve == LIVE:
        from pipeline.sim.measure import measure_costs

        costs = measure_costs(loaded.config, tell_sometimes())
    else:
        costs = read_costs(Path(curve), loaded.config)
    if save_curve is not None:
        save_curve.write_text(json.dumps(as_file(loaded.config, costs), indent=1) + "\n")
    return costs


def _report(
    loaded: Loaded,
    planner: "Planner",
    chosen: "Forecast | None",
    *,
    slo: float,
    any_tier: bool,
    searched: bool,
    json_: bool,
) -> None:
    if json_:
        forecasts = [forecast.as_json() for forecast in planner.tried]
        needed = chosen.processes if chosen is not None and searched else None
        click.echo(json.dumps({"slo": slo, "processes_needed": needed, "forecasts": forecasts}, indent=1))
        return
    from pipeline.cli.plan_view import counted, show

    show(loaded, planner, chosen)
    if not searched:
        return
    by_whom = "by any tier" if any_tier else f"by {loaded.config.tiers[0].name}"
    if chosen is None:
        best = max(planner.tried, key=lambda it: _share(it, any_tier))
        click.echo(
            f"No number of processes up to the {planner.load.partitions} partitions holds {slo:g} scored {by_whom} "
            f"in time; the best found is {_share(best, any_tier):.4f} with {best.processes}."
        )
    else:
        verdict = f"{counted(chosen.processes)} {'holds' if chosen.processes == 1 else 'hold'}"
        click.echo(f"{verdict} {slo:g} scored {by_whom} in time: {_share(chosen, any_tier):.4f}.")
