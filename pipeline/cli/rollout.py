"""`headrace rollout`: another version of a model, beside the stable one or instead of it, while the pipeline runs."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import bootstrap_option, config_options, load_config

if TYPE_CHECKING:
    from pipeline.config.model import PipelineConfig
    from pipeline.wire.rollout import RolloutRecord

SHARE = click.FloatRange(0.0, 1.0, min_open=True)


@click.group()
def rollout() -> None:
    """Let another version of a model answer: a share of the keys, copies, or all; take it back; see what was."""


def _about_a_tier(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--by", default="", help="Who asks; default: the user and the machine."),
        click.option("--reason", default="", help="Why; goes to the audit topic."),
        click.option("--tier", default="primary", show_default=True, help="The tier that it is about."),
        bootstrap_option,
        config_options,
    ):
        command = option(command)
    return command


def _version_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--unseen", is_flag=True, help="The models are not on this machine: do not look at the file."),
        click.option("--model", default="", help="Default: the model that the tier has now."),
    ):
        command = option(command)
    return command


@rollout.command()
@_about_a_tier
@_version_options
@click.option("--version", "version", required=True, help="The candidate's version.")
@click.option("--share", type=SHARE, help="Of the keys; default: the first of rollout.steps.")
@click.option("--shadow", is_flag=True, help="It scores copies when there is time, and decides nothing.")
@click.option("--hold", is_flag=True, help="Stay there until told otherwise; a bad one is rolled back anyway.")
def start(version: str, share: float | None, shadow: bool, hold: bool, **given: Any) -> None:
    """Put a candidate beside the stable version of a tier."""
    from pipeline.rollout.course import begun
    from pipeline.rollout.desk import named, new_name

    if shadow and share is not None:
        raise click.UsageError("--shadow decides nothing: expected no --share with it")
    config = _config(given)

    def step(now: "RolloutRecord") -> "RolloutRecord":
        candidate = named(config, given["model"] or now.stable.model, version, here=not given["unseen"])
        first = config.rollout.steps[0] if share is None else share
        return begun(now, candidate, new_name(), first, shadow=shadow, auto=not hold)

    _ask(config, step, given)


@rollout.command()
@_about_a_tier
@_version_options
@click.option("--version", "version", default="", help="Another version outright; default: the candidate.")
def promote(version: str, **given: Any) -> None:
    """Make the candidate, or the version named, the stable one: it answers everything, from the next batch on."""
    from msgspec.structs import replace

    from pipeline.rollout.course import promoted
    from pipeline.rollout.desk import named, new_name

    config = _config(given)

    def step(now: "RolloutRecord") -> "RolloutRecord":
        if not version:
            return promoted(now)
        wanted = named(config, given["model"] or now.stable.model, version, here=not given["unseen"])
        return replace(promoted(now, wanted), rollout=new_name())

    _ask(config, step, given)


@rollout.command()
@_about_a_tier
@click.argument("share", type=SHARE)
def share(share: float, **given: Any) -> None:
    """Have the candidate answer this SHARE of the keys; a shadow becomes a canary by it."""
    from pipeline.rollout.course import shared

    _ask(_config(given), lambda now: shared(now, share), given)


@rollout.command()
@_about_a_tier
def hold(**given: Any) -> None:
    """Leave the candidate at its share; it is still rolled back when it is bad."""
    from pipeline.rollout.course import held

    _ask(_config(given), held, given)


@rollout.command()
@_about_a_tier
def rollback(**given: Any) -> None:
    """Take the candidate away; where there is none, go back to what was stable before the last promotion."""
    from pipeline.rollout.course import rolled_back

    _ask(_config(given), rolled_back, given)


@rollout.command()
@config_options
@bootstrap_option
@click.option("--json", "json_", is_flag=True, help="The records as they are.")
def status(name: str, assignments: tuple[str, ...], bootstrap: str | None, json_: bool) -> None:
    """What is in force for each tier."""
    from pipeline.rollout.desk import in_force

    found = in_force(load_config(name, assignments, bootstrap).config)
    for record in found.values():
        click.echo(record.encode().decode() if json_ else _in_words(record))


@rollout.command()
@config_options
@bootstrap_option
@click.option("--json", "json_", is_flag=True, help="The records as they are, one a line.")
def log(name: str, assignments: tuple[str, ...], bootstrap: str | None, json_: bool) -> None:
    """The audit topic: what served when, where, and who asked for it."""
    from pipeline.clock import rfc3339
    from pipeline.rollout.desk import books
    from pipeline.rollout.writer import said

    for record in books(load_config(name, assignments, bootstrap).config):
        if json_:
            click.echo(record.encode().decode())
        else:
            offsets = f"  from {json.dumps(record.offsets)}" if record.offsets else ""
            click.echo(
                f"{rfc3339(record.at_ms / 1000)}  {record.instance}  {record.tier}  {said(record)}  "
                f"configuration {record.config_sha256[:12]}{offsets}"
            )


def _config(given: dict[str, Any]) -> "PipelineConfig":
    return load_config(given["name"], given["assignments"], given["bootstrap"]).config


def _ask(config: "PipelineConfig", step: "Callable[[RolloutRecord], RolloutRecord]", given: dict[str, Any]) -> None:
    from pipeline.rollout.desk import ask

    record = ask(config, given["tier"], step, by=given["by"], reason=given["reason"])
    click.echo(f"written for all processes to follow: {_in_words(record)}")


def _in_words(record: "RolloutRecord") -> str:
    """One line."""
    said = f"{record.tier}: {record.stable}"
    if record.candidate is not None:
        share = "in shadow" if record.shadow else f"at {record.share:g} of the keys"
        said += f", beside it {record.candidate} {share}, {'by its rules' if record.auto else 'held'}"
    if record.previous is not None:
        said += f", before it {record.previous}"
    by = f" by {record.by}" if record.by else ""
    return f"{said}  ({record.event}{by}{': ' + record.reason if record.reason else ''})"
