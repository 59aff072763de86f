"""`headrace models optimise`: cheaper variants of a model, measured beside it; those within limits are registered."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.held_out import data_option, sample_for
from pipeline.cli.options import config_options, load_config
from pipeline.cli.progress import tell_sometimes
from pipeline.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from models.optimise.made import Variant
    from models.optimise.study import Finding, Study
    from models.repository import ModelEntry

BATCHES = {False: (8, 64, 256), True: (1, 8, 32)}
"""Of feature rows, and of images."""


def _own(_context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    """(name, path) of `NAME=FILE`."""
    found = []
    for text in texts:
        name, mark, path = text.partition("=")
        if not (mark and name and Path(path).is_file()):
            raise click.BadParameter(f"{text!r}: expected NAME=FILE, of an ONNX file that is there", param=option)
        found.append((name, Path(path)))
    return tuple(found)


@click.command()
@click.argument("model", metavar="MODEL/VERSION")
@config_options
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The repository that the model is in. Default: the shipped one.",
)
@data_option
@click.option("--only", multiple=True, metavar="VARIANT", help="Make this variant alone; may be repeated.")
@click.option(
    "--variant", "own", multiple=True, metavar="NAME=FILE", callback=_own, help="Measure an ONNX file of yours too."
)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1, 4096), help="Rows a call; may be repeated.")
@click.option("--quality-drop-max", type=click.FloatRange(0, 1), default=0.005, show_default=True)
@click.option("--agreement-min", type=click.FloatRange(0, 1), default=0.98, show_default=True)
@click.option("--cost-ratio-max", type=click.FloatRange(0, 10), default=0.95, show_default=True)
@click.option(
    "--watts-core", type=click.FloatRange(0), default=4.0, show_default=True, help="For the energy estimate."
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the front here, e.g. front.png.")
@click.option("--register", "names", multiple=True, metavar="VARIANT", help="Register this variant, if it passed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The repository to register in. Default: the one that the model is in.",
)
def optimise(model: str, name: str, assignments: tuple[str, ...], data: Path | None, **asked: Any) -> None:
    """Make variants of a model, measure each beside it, and say which are worth having.

    Every variant is timed in turns with the model itself, on one thread, and compared with it on held-out rows. Those
    within the limits may be registered, as VERSION-VARIANT; of the others the reason is told.
    """
    from models.optimise.gate import Limits
    from models.optimise.study import study, variants_of

    _check_plot(asked["plot"])
    tell = tell_sometimes(at_once=True)
    entry = entry_of(model, asked["folder"])
    manifest = entry.manifest
    sample = sample_for(
        manifest, load_config(name, assignments), data, asked["test_days"], asked["holdout_numbers"], tell
    )
    limits = Limits(asked["quality_drop_max"], asked["agreement_min"], asked["cost_ratio_max"])
    with tempfile.TemporaryDirectory() as folder:
        tell("making variants")
        variants = _chosen(variants_of(entry, Path(folder), sample, asked["seed"]), asked["only"], asked["own"])
        batches = asked["batches"] or BATCHES[manifest.image is not None]
        found = study(entry, variants, sample, batches, limits, asked["watts_core"], tell)
        show(found)
        _write(found, asked["json_path"], asked["plot"])
        _register(entry, variants, found, sample, asked["names"], asked["out"])


def entry_of(model: str, folder: Path | None) -> "ModelEntry":
    """The entry that `MODEL/VERSION` means, in a folder or among the shipped."""
    from models.repository import Repository

    name, mark, version = model.partition("/")
    if not (name and mark and version):
        raise click.BadParameter(f"{model!r}: expected MODEL/VERSION, like fraud-gbt/1")
    return (Repository(folder) if folder else Repository.shipped()).load(name, version)


def _chosen(made: "Sequence[Variant]", only: Sequence[str], own: Sequence[tuple[str, Path]]) -> "list[Variant]":
    from models.optimise.made import Variant

    if strangers := sorted(set(only) - {variant.name for variant in made}):
        there = ", ".join(variant.name for variant in made)
        raise ConfigError("", [Problem("--only", f"{strangers[0]}: no such variant; there are {there}")])
    chosen = [variant for variant in made if not only or variant.name in only]
    return [*chosen, *(Variant(name, f"{path.name}, as given", path) for name, path in own)]


def show(found: "Study") -> None:
    """The table, the front, and what the gate refused."""
    batches = next(each.cost.batch for each in found.findings if each.cost)
    click.echo(f"{found.model}/{found.version} on {found.rows:,} held-out rows ({found.data})")
    us = "  ".join(f"us@{batch:<4}" for batch in batches)
    click.echo(
        f"{'':22}{us}   cost     bytes  {found.measure:>8}  drop (90 % interval)       agree   apart   rank    mJ"
    )
    for each in found.findings:
        click.echo(_line(each))
    click.echo(
        "cost: CPU time of the original's in the same run; mJ: 1,000 rows, at "
        f"{found.watts_core:g} W a busy core (an estimate); *: on the front of cost against quality"
    )
    for each in found.findings:
        for reason in each.refused:
            click.echo(f"refused: {reason}")


def _line(each: "Finding") -> str:
    name = f"{'*' if each.front else ' '} {each.name}"
    if each.cost is None or each.likeness is None or each.drop is None or each.quality is None:
        return f"{name:22}not measured"
    took = "  ".join(f"{us:7.2f}" for us in each.cost.cpu_us)
    drop = f"{each.drop.value:+.4f} ({each.drop.low:+.4f} .. {each.drop.high:+.4f})"
    return (
        f"{name:22}{took}  {each.cost.ratio:5.3f}  {each.file_bytes:8,}  {each.quality:8.4f}  {drop}  "
        f"{each.likeness.agreement:6.4f}  {each.likeness.apart_max:.1e}  {each.likeness.rank_correlation:.3f}  "
        f"{each.millijoules:.1f}"
    )


def _check_plot(plot: Path | None) -> None:
    """Before a minute is spent: whether it can be drawn."""
    if plot is None:
        return
    try:
        from pipeline.cli.optimise_plot import formats
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed; a plot needs the extra: pip install 'headrace[plot]'"
        raise ConfigError("", [Problem("--plot", text)]) from None
    if plot.suffix[1:] not in formats():
        raise ConfigError("", [Problem("--plot", f"{plot}: expected a name ending in {', '.join(formats())}")])


def _write(found: "Study", json_path: Path | None, plot: Path | None) -> None:
    import msgspec

    if json_path:
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    if plot:
        from pipeline.cli.optimise_plot import draw

        draw(plot, found)


def _register(
    entry: "ModelEntry",
    variants: "Sequence[Variant]",
    found: "Study",
    sample: Any,
    names: Sequence[str],
    out: Path | None,
) -> None:
    from models.optimise.registering import register_variant
    from models.repository import Repository

    repository = Repository(out or entry.path.parents[2])
    made = {variant.name: variant for variant in variants}
    findings = {each.name: each for each in found.findings}
    for name in names:
        if name not in made:
            raise ConfigError("", [Problem("--register", f"{name}: no such variant; there are {', '.join(made)}")])
        written = register_variant(repository, entry, made[name], findings[name], found, sample)
        click.echo(f"registered {written.path.parent}")
