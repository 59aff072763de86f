"""`headrace models reuse`: how often the answer for a like picture would have been wrong, on recorded frames."""

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
    from pipeline.tier import ModelTier

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

    config = load_config(name, (*assignments, "reuse.near_bits=-1")).config
    tier = open_tiers(config, features_of(config).names)[0]
    if getattr(tier, "view", None) is None:
        raise ConfigError("", [Problem("tiers", f"{tier.name} takes no images, so no picture is like another to it")])
    cameras = {folder.name: _files(folder) for folder in sorted(data.iterdir()) if folder.is_dir()}
    if not any(cameras.values()):
        kinds = ", ".join(SUFFIXES)
        raise ConfigError("", [Problem("--data", f"{data}: found no frames, expected folders of {kinds} files")])
    seen = {camera: list(_seen(files, config, tier)) for camera, files in cameras.items()}  # type: ignore[arg-type]
    report = report_of(tier.session.entry, tier.view.crop, config.reuse.near_rows, seen)  # type: ignore[union-attr]
    out.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    _show(report)
    click.echo(f"written to {out}: reuse.near_report names it")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def _seen(files: Sequence[Path], config: "PipelineConfig", tier: "ModelTier") -> Iterator["Seen"]:
    """What the model decides of each frame; one that cannot be read is told and left out."""
    import numpy as np

    from pipeline.image.decoder import ImageDecoder
    from pipeline.image.found import BadImageError
    from pipeline.image.measures import MEASURES
    from pipeline.reuse_report import Seen

    view, tell = tier.view, tell_sometimes()
    assert view is not None
    decoder = ImageDecoder(view.input, view.crop, view.pixels_max)
    tensor = np.zeros((BATCH, view.input.channels, view.input.height, view.input.width), np.float32)
    told, measures = np.zeros((BATCH, len(view.classes)), np.float32), np.zeros(len(MEASURES))
    for first in range(0, len(files), BATCH):
        hashes: list[int] = []
        for file in files[first : first + BATCH]:
            content = np.fromfile(file, np.uint8)
            try:
                decoder.decode(int(content.ctypes.data), len(content), tensor[len(hashes)], measures)
                hashes.append(decoder.perceptual_hash)
            except BadImageError as error:
                click.echo(f"{file}: left out: {error}", err=True)
        if hashes:
            tier.session.run(tensor[: len(hashes)], told[: len(hashes)])
        for picture, probabilities in zip(hashes, told, strict=False):
            yield Seen(picture, _decision(config, tier, probabilities.tolist()))
        tell(f"{files[first].parent.name}: {first + len(hashes)} of {len(files)} frames")


def _decision(config: "PipelineConfig", tier: "ModelTier", probabilities: Sequence[float]) -> int:
    """By the classes, or by the score and the tier's thresholds."""
    view, decide = tier.view, config.decide
    assert view is not None
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    if decide.classes:
        sure = probabilities[best] >= decide.sure_min
        return decide.labels.index(decide.classes[view.classes[best]] if sure else decide.fallback)
    assert view.clean is not None
    return sum(1.0 - probabilities[view.clean] >= limit for limit in tier.thresholds)


def _show(report: "ReuseReport") -> None:
    click.echo(f"{report.frames} frames of {report.cameras} cameras, {report.model}/{report.version}")
    click.echo("bits  reused   wrong  share of wrong answers (at most, 95 % confidence)")
    for row in report.by_bits:
        if row.reused:
            share = f"{row.wrong / row.reused:8.3%} ({row.wrong_rate_max:.3%})"
            click.echo(f"{row.bits:4d}  {row.reused / report.frames:6.1%}  {row.wrong:6d}  {share}")
