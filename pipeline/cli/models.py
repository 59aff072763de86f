"""`headrace models`: what can be run, and how far its answers carry."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.cascade import cascade
from pipeline.cli.optimise import optimise
from pipeline.cli.reuse import reuse

if TYPE_CHECKING:
    from models.manifest import Manifest


@click.group()
def models() -> None:
    """List the models of a repository; have them cheaper, pair them, measure how far answers about frames carry."""


models.add_command(cascade)
models.add_command(optimise)
models.add_command(reuse)


@models.command(name="list")
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Default: the shipped.")
@click.option("--json", "json_", is_flag=True, help="The manifests as JSON.")
def list_(folder: Path | None, json_: bool) -> None:
    """Every model with its version, kind, inputs, measured quality and day of training; its hash is checked."""
    from models.repository import Repository

    repository = Repository(folder) if folder else Repository.shipped()
    manifests = [repository.load(name, version).manifest for name, version in repository.names()]
    if json_:
        click.echo(json.dumps([manifest.model_dump(mode="json") for manifest in manifests], indent=1))
        return
    for manifest in manifests:
        quality = ", ".join(f"{name} {value:.3f}" for name, value in manifest.quality.items())
        click.echo(
            f"{manifest.name}/{manifest.version}  {manifest.kind}, {_taken(manifest)}, {quality}, "
            f"trained {manifest.trained.when}"
        )


def _taken(manifest: "Manifest") -> str:
    """What the model takes, in words."""
    image = manifest.image
    if image is None:
        return f"{len(manifest.inputs)} inputs"
    colour = "grey" if image.channels == 1 else "RGB"
    return f"images as {image.width} x {image.height} {colour}, {len(manifest.classes)} classes"
