"""`headrace models reuse`: how often the answer for a like picture would have been wrong, on recorded frames."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import config_options, load_config
from pipeline.cli.progress import tell_sometimes
from pipeline.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from pipeline.config.model import PipelineConfig
    from pipeline.reuse_report import ReuseReport, Seen
    from pipeline.tier import Tier

BATCH = 32
SUFFIXES = (".jpg", ".jpeg", ".png")


@click.command()
@config_options
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="A folder for each camera, with its frames as JPEG or PNG files whose names sort as they were taken.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("reuse.json"), show_default=True)
def reuse(name: str, assignments: tuple[str, ...], data: Path, out: Path) -> None:
    """Replay recorded frames and count whose decision a like picture's answer would have changed.

    What it writes is what `reuse.near_report` wants: such reuse is off until it was measured with the very model. Use
    frames of the line itself, bad parts among them: what was not recorded cannot have been mistaken.
    """
    import msgspec

    from pipeline.reuse_report import report_of
    from pipeline.row_layout import features_of
    from pipeline.tiers import open_tiers

    # What overrules a score is looked at anew in each frame, whosever answer it is given.
    loaded = load_config(name, (*assignments, "reuse.near_bits=-1")).config
    config = loaded.model_copy(update={"overrides": ()})
    tiers = open_tiers(config, features_of(config).names)
    tier = tiers[0]
    if getattr(tier, "view", None) is None:
        raise ConfigError("", [Problem("tiers", f"{tier.name} takes no images, so no picture is like another to it")])
    cameras = {folder.name: _files(folder) for folder in sorted(data.iterdir()) if folder.is_dir()}
    if not any(cameras.values()):
        kinds = ", ".join(SUFFIXES)
        raise ConfigError("", [Problem("--data", f"{data}: found no frames, expected folders of {kinds} files")])
    seen = {camera: list(_seen(files, config, tiers)) for camera, files in cameras.items()}
    report = report_of(tier.session.entry, tier.view.crop, config.reuse.near_rows, seen)  # type: ignore[union-attr]
    out.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    _show(report)
    click.echo(f"written to {out}: reuse.near_report names it")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def _seen(files: Sequence[Path], config: "PipelineConfig", tiers: "Sequence[Tier]") -> Iterator["Seen"]:
    """What the primary tier decides of each frame by its score; one that cannot be read is told and left out."""
    import numpy as np

    from pipeline.image_rows import ImageRows
    from pipeline.reuse_report import Seen
    from pipeline.row_layout import features_of, layout_of
    from pipeline.scoring import decider_of, servings_of
    from pipeline.servings import own_serving
    from pipeline.tier import ModelTier

    layout, tell, primary = layout_of(config, features_of(config), tiers), tell_sometimes(), tiers[0]
    assert isinstance(primary, ModelTier)
    assert primary.view is not None
    rows = layout.new_rows(BATCH)
    frames = ImageRows(rows, primary.session, primary.view, BATCH, None, time.monotonic_ns)
    decider = decider_of(config, rows, servings_of(tiers), layout)
    for first in range(0, len(files), BATCH):
        batch = files[first : first + BATCH]
        contents = [np.fromfile(file, np.uint8) for file in batch]
        for slot, content in enumerate(contents):
            rows.payload_address[slot], rows.payload_length[slot] = content.ctypes.data, len(content)
        told = frames.score(np.arange(len(batch), dtype=np.int32))
        for slot, reject in told.rejected:
            click.echo(f"{batch[slot]}: left out: {reject.message}", err=True)
        rows.serving[told.slots] = own_serving(0)
        decider.scored(told.slots)
        for slot in told.slots.tolist():
            yield Seen(int(rows.perceptual_hash[slot]), int(rows.decision[slot]))
        tell(f"{files[first].parent.name}: {first + len(batch)} of {len(files)} frames")


def _show(report: "ReuseReport") -> None:
    click.echo(f"{report.frames} frames of {report.cameras} cameras, {report.model}/{report.version}")
    click.echo("bits  reused   wrong  share of wrong answers (at most, 95 % confidence)")
    for row in report.by_bits:
        if row.reused:
            share = f"{row.wrong / row.reused:8.3%} ({row.wrong_rate_max:.3%})"
            click.echo(f"{row.bits:4d}  {row.reused / report.frames:6.1%}  {row.wrong:6d}  {share}")
