"""`headrace models cascade`: where a cheap model may be sure, for a stated loss of quality."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.held_out import data_option, sample_for
from pipeline.cli.optimise import BATCHES, entry_of
from pipeline.cli.options import config_options, load_config
from pipeline.cli.progress import tell_sometimes
from pipeline.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from models.cascade_calibration import Calibrated
    from models.cascade_report import CascadeReport, Loss, RowCost
    from models.optimise.measure import Floats, Runnable
    from models.repository import ModelEntry

NONE = "none"


def _loss(_context: click.Context, option: click.Parameter, text: str) -> float:
    """A number in [0, 1), or 0 of `none`."""
    try:
        loss = 0.0 if text == NONE else float(text)
    except ValueError:
        loss = -1.0
    if not 0 <= loss < 1:
        raise click.BadParameter(f"{text!r}: expected {NONE} or a number in [0, 1)", param=option)
    return loss


@click.command()
@config_options
@click.option("--first", required=True, metavar="MODEL/VERSION", help="The cheap model, which scores every row.")
@click.option("--then", "second", required=True, metavar="MODEL/VERSION", help="The model of which it saves rows.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The repository that both are in. Default: the shipped one.",
)
@data_option
@click.option(
    "--loss-max",
    default="0.005",
    show_default=True,
    callback=_loss,
    metavar=f"SHARE|{NONE}",
    help="Of average precision, relative to the second model's; of accuracy, in shares of all rows.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="That the loss is no larger; 0.5 takes it as found.",
)
@click.option("--batch", type=click.IntRange(1, 4096), help="Rows a call, for the costs. Default: 64, of images 8.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("cascade.json"), show_default=True
)
def cascade(
    name: str,
    assignments: tuple[str, ...],
    first: str,
    second: str,
    folder: Path | None,
    data: Path | None,
    loss_max: float,
    out: Path,
    **asked: Any,
) -> None:
    """Calibrate a cascade: the first model settles the rows that it is sure of, the second scores the others.

    The thresholds pass as few rows on as the loss allows. What is written is what `cascade.report` wants, and says
    of which models, by their sha256, it is true.
    """
    import msgspec

    from models.cascade_calibration import calibrate
    from models.cascade_report import report_of
    from models.optimise.measure import Runnable

    tell = tell_sometimes(at_once=True)
    entries = [entry_of(text, folder) for text in (first, second)]
    _check_pair(*entries)
    manifest = entries[1].manifest
    sample = sample_for(
        manifest, load_config(name, assignments), data, asked["test_days"], asked["holdout_numbers"], tell
    )
    models = [
        Runnable(text, entry.path, entry.manifest) for text, entry in zip((first, second), entries, strict=True)
    ]
    tell(f"scoring {len(sample.rows):,} rows by both")
    cheap, dear = (model.answers(sample.rows) for model in models)
    tell("calibrating")
    found = calibrate(cheap, dear, sample.truth, loss_max, asked["confidence"], asked["seed"])
    batch = asked["batch"] or BATCHES[manifest.image is not None][1]
    tell("timing both")
    cost = _cost(models[0], models[1], sample.rows, batch, found)
    loss = _loss_of(found, sample.told)
    report = report_of(entries[0].manifest, manifest, found.thresholds, found.expected, loss, cost)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    _show(report, loss, cost, out, classes=manifest.image is not None)


def _check_pair(first: "ModelEntry", second: "ModelEntry") -> None:
    one, other = first.manifest, second.manifest
    for what, ours, theirs in (
        ("inputs", one.inputs, other.inputs),
        ("classes", one.classes, other.classes),
        ("clean class", one.clean, other.clean),
        ("image", one.image is not None, other.image is not None),
    ):
        if ours != theirs:
            raise ConfigError(
                "",
                [Problem("--first", f"{one.name}/{one.version} has the {what} {ours}, expected --then's {theirs}")],
            )
    if one.image is not None and one.image != other.image:
        raise ConfigError(
            "",
            [
                Problem(
                    "--first",
                    f"{one.name}/{one.version} takes images as {one.image}, expected --then's {other.image}",
                )
            ],
        )
    if one.sha256 == other.sha256:
        raise ConfigError("", [Problem("--first", f"{one.name}/{one.version} is the same model as --then's")])


def _cost(first: "Runnable", second: "Runnable", rows: "Floats", batch: int, found: "Calibrated") -> "RowCost":
    from models.cascade_report import RowCost
    from models.optimise.measure import costs_of

    share = found.expected.passed_share
    passed_batch = max(1, round(batch * share))
    costs = costs_of({"first": first, "second": second}, "second", rows, sorted({batch, passed_batch}))
    at, small = costs["second"].batch.index(batch), costs["second"].batch.index(passed_batch)
    first_us, second_us = costs["first"].cpu_us[at], costs["second"].cpu_us[at]
    passed_us = costs["second"].cpu_us[small]
    return RowCost(batch, first_us, second_us, passed_batch, passed_us, round(first_us + share * passed_us, 3))


def _loss_of(found: "Calibrated", data: str) -> "Loss":
    from models.cascade_report import Loss

    return Loss(
        data,
        found.measure,
        found.second_quality,
        found.cascade_quality,
        found.loss.value,
        found.loss.high,
        found.loss_max,
        found.confidence,
    )


def _show(report: "CascadeReport", loss: "Loss", cost: "RowCost", out: Path, *, classes: bool) -> None:
    share = report.expected.passed_share
    click.echo(
        f"{report.first.model}/{report.first.version} settles {1 - share:.2%} of {report.rows:,} held-out rows "
        f"({loss.data}), {share:.2%} go on to {report.second.model}/{report.second.version}"
    )
    kind = "of it" if loss.measure == "ap" else "of all rows"
    click.echo(
        f"{loss.measure} {loss.second:.4f} by the second alone, {loss.cascade:.4f} by both: "
        f"{loss.lost:+.3%} {kind} is lost, at most {loss.lost_high:+.3%} with {loss.confidence:.0%} confidence, "
        f"{loss.lost_max:.3%} allowed"
    )
    click.echo(
        f"CPU a row: {cost.second_us:.2f} us by the second alone in batches of {cost.batch}, {cost.cascade_us:.2f} "
        f"us expected: {cost.first_us:.2f} for the first, and {cost.passed_us:.2f} for each passed on, in batches "
        f"of {cost.passed_batch}"
    )
    if cost.cascade_us >= cost.second_us:
        click.echo("the second model alone is cheaper: this pair is not worth a cascade")
    below = "" if classes else f"sure_below = {report.sure_below!r}\n"
    above = f"{'sure_min' if classes else 'sure_above'} = {report.sure_above!r}"
    click.echo(f'written to {out}; in the pipeline\'s file:\n[cascade]\n{below}{above}\nreport = "{out}"')
