"""`headrace evaluate`: recorded traffic through two configurations, and how sure their difference is."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.inputs import input_files, input_options
from pipeline.cli.progress import tell_sometimes
from pipeline.config.load import load
from pipeline.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from pipeline.evaluation.evaluate import Price
    from pipeline.evaluation.report import Report
    from pipeline.evaluation.rounds import Pace
    from pipeline.evaluation.side import Side

ROUNDS_MIN = 3
SETS = "TABLE.KEY=VALUE"


@click.command()
@input_options
@click.option("--a", "name_a", required=True, metavar="FILE|NAME", help="The configuration as it is.")
@click.option("--b", "name_b", required=True, metavar="FILE|NAME", help="The configuration that might be.")
@click.option("--set", "both", multiple=True, metavar=SETS, help="Override a value in both; may be repeated.")
@click.option("--set-a", "only_a", multiple=True, metavar=SETS, help="Override a value in A alone.")
@click.option("--set-b", "only_b", multiple=True, metavar=SETS, help="Override a value in B alone.")
@click.option("--from", "from_", metavar="TIME", help="Judge events from this time on; those before fill windows.")
@click.option("--to", metavar="TIME", help="Use no events from this time on. Times are RFC 3339, or a day.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Events a second in the rounds; default: up to 2,000."
)
@click.option(
    "--speed-up",
    type=click.FloatRange(0, min_open=True),
    help="Instead of --rate: as they were recorded, so many times as fast.",
)
@click.option(
    "--seconds", type=click.FloatRange(1, 3600), default=20, show_default=True, help="Of traffic for each side."
)
@click.option(
    "--rounds", type=click.IntRange(0, 100), default=8, show_default=True, help="In how many turns; 0: none."
)
@click.option(
    "--replays", type=click.IntRange(1, 100), default=3, show_default=True, help="Of the whole, for its cost."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the bootstrap.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("evaluation.html"),
    show_default=True,
    help="The page: one file, to open or to send.",
)
@click.option("--json", "json_", is_flag=True, help="Everything as JSON, instead of the table.")
def evaluate(
    file: Path,
    inputs: tuple[str, ...],
    columns: tuple[str, ...],
    label_column: str | None,
    label_delay: str,
    name_a: str,
    name_b: str,
    both: tuple[str, ...],
    only_a: tuple[str, ...],
    only_b: tuple[str, ...],
    from_: str | None,
    to: str | None,
    rate: float | None,
    speed_up: float | None,
    seconds: float,
    rounds: int,
    replays: int,
    seed: int,
    out: Path,
    json_: bool,
) -> None:
    """What if: the events in FILE (Parquet, CSV or JSON lines) through two configurations, side by side.

    Quality comes from a replay of all events through both engines; latency, goodput and cost from processes of both
    that get the same traffic in turns, on embedded clusters of this machine. Every difference has a 95 % interval.
    """
    from pipeline.evaluation.evaluate import Asked
    from pipeline.evaluation.evaluate import evaluate as evaluated
    from pipeline.evaluation.recording import read_recording

    a, b = _side("A", name_a, (*both, *only_a)), _side("B", name_b, (*both, *only_b))
    _check(a, b, out)
    pace = _pace(rate, speed_up, seconds, rounds)
    files = input_files(file, inputs, columns, label_column, label_delay)
    from_ms, to_ms = _time_ms("--from", from_), _time_ms("--to", to)
    asked = Asked(pace, replays, _price(a, b), seed, time.time_ns() // 1_000_000, _settings())
    _check_models(a)
    _check_models(b)
    recording = read_recording(files, a.config, b.config, from_ms, to_ms)
    report = evaluated(recording, (a, b), asked, tell_sometimes())
    _tell(report, out, as_json=json_)


def _check(a: "Side", b: "Side", out: Path) -> None:
    from pipeline.evaluation.side import require_alike

    require_alike(a.config, b.config)
    if a.config.catalog.decided.format == "image":
        raise click.UsageError("these configurations decide on images, and a file of rows has none")
    if not out.absolute().parent.is_dir():
        raise click.UsageError(f"--out {out}: there is no folder {out.parent}")


def _price(a: "Side", b: "Side") -> "Price":
    """One for both, since what is asked is what the change of the configuration costs, not that of the machine."""
    from pipeline.evaluation.evaluate import Price

    (of_a, currency_a), (of_b, currency_b) = ((one.config.cost.cpu_hour, one.config.cost.currency) for one in (a, b))
    if (of_a, currency_a) != (of_b, currency_b):
        raise click.UsageError(
            f"cost.cpu_hour: {of_a:g} {currency_a} in A, {of_b:g} {currency_b} in B: expected one price for both, "
            f"e.g. --set cost.cpu_hour={of_a or of_b:g}"
        )
    if not of_a:
        raise click.UsageError("cost.cpu_hour: no price is set, expected one in [cost] or --set cost.cpu_hour=0.04")
    return Price(of_a, currency_a)


def _tell(report: "Report", out: Path, *, as_json: bool) -> None:
    from pipeline.evaluation.page import page_of

    out.write_text(page_of(report), encoding="utf-8")
    if as_json:
        click.echo(report.encode())
    else:
        from pipeline.cli.evaluate_view import show

        show(report)
    click.echo(f"written to {out}", err=True)


def _side(letter: str, name: str, assignments: tuple[str, ...]) -> "Side":
    """Raises ConfigError that says of which side it tells."""
    from pipeline.evaluation.side import Side

    try:
        loaded = load(name, environ=os.environ, assignments=assignments)
    except ConfigError as error:
        raise _of_side(letter, error) from None
    return Side(letter, name, assignments, loaded)


def _check_models(side: "Side") -> None:
    """Features that compile and models that fit; what does not is told before the other side has run for a minute."""
    from models.manifest import ModelError
    from pipeline.cli.checks import check_features, check_models

    try:
        check_features(side.config)
        check_models(side.config)
    except (ConfigError, ModelError) as error:
        raise _of_side(side.letter, error) from None


def _of_side(letter: str, error: Exception) -> ConfigError:
    return ConfigError(f"--{letter.lower()}", [Problem("", str(error))])


def _pace(rate: float | None, speed_up: float | None, seconds: float, rounds: int) -> "Pace | None":
    from pipeline.evaluation.rounds import Pace

    if rate is not None and speed_up is not None:
        raise click.UsageError("--rate and --speed-up both say how fast; expected one of them")
    if not rounds:
        return None
    if rounds < ROUNDS_MIN:
        raise click.UsageError(
            f"--rounds {rounds}: expected 0, or {ROUNDS_MIN} or more to tell a difference from noise"
        )
    return Pace(seconds, rounds, rate, speed_up)


def _time_ms(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        time_ = datetime.fromisoformat(text)
    except ValueError:
        expected = "a time such as 2018-08-08 or 2018-08-08T12:00:00Z"
        raise click.BadParameter(f"found {text!r}, expected {expected}", param_hint=option) from None
    zoned = time_ if time_.tzinfo is not None else time_.replace(tzinfo=UTC)
    return int(zoned.timestamp() * 1000)


def _settings() -> dict[str, str]:
    """What was asked for, so that a reader of the page can do it again: names of files, without folders."""
    from pipeline.evaluation.side import told_of

    context = click.get_current_context()
    told: dict[str, str] = {}
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if value in (None, ()) or value == parameter.default or parameter.name in ("out", "json_"):
            continue
        values = value if isinstance(value, tuple) else (value,)
        name = parameter.opts[0] if isinstance(parameter, click.Option) else ""
        if name.startswith("--set"):
            values = told_of(values)
        shown = [Path(one).name if _is_path(parameter) else str(one) for one in values]
        if shown:
            told[name] = f" {name} ".join(shown)
    return told


def _is_path(parameter: click.Parameter) -> bool:
    return isinstance(parameter.type, click.Path) or parameter.name in ("name_a", "name_b")
