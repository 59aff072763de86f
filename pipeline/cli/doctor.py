"""`headrace doctor`: what stands around a pipeline, and what to mend."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.options import bootstrap_option, config_options, load_config

if TYPE_CHECKING:
    from pipeline.doctor.finding import Finding

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command()
@config_options
@bootstrap_option
@click.option(
    "--json", "json_", is_flag=True, help="An object with `ok` and the list of `findings` instead of a table."
)
@click.option(
    "--probe-topic",
    default="",
    metavar="TOPIC",
    help="Write one empty record to this topic, whose records the broker stamps, to compare clocks both ways.",
)
def doctor(name: str, assignments: tuple[str, ...], bootstrap: str | None, json_: bool, probe_topic: str) -> int:
    """Look at configuration, models, folders, memory, broker, topics, offsets and clocks; say what to mend.

    Nothing is changed; it may run beside the pipeline. Exit code 0: nothing failed, though there may be warnings; 1:
    something did.
    """
    import logging

    from rich.console import Console
    from rich.status import Status

    from pipeline.config.problems import ConfigError
    from pipeline.doctor.finding import Grade, fail, ok

    logging.getLogger("pipeline").setLevel(logging.CRITICAL)  # what is found is told once, below
    waiting = Console(stderr=True)
    findings: list[Finding] = []
    try:
        loaded = load_config(name, assignments, bootstrap)
    except ConfigError as error:
        findings.append(fail("configuration", str(error), "mend what it names; nothing else was looked at"))
    else:
        from pipeline.doctor.examine import examine

        findings.append(ok("configuration", f"{loaded.source}: read"))
        with Status("looking", console=waiting) as status:
            findings += examine(loaded.config, lambda title: status.update(f"looking at {title}"), probe_topic)
    good = all(finding.grade is not Grade.FAIL for finding in findings)
    if json_:
        rows = [{"check": f.check, "grade": f.grade.value, "says": f.says, "mend": f.mend} for f in findings]
        click.echo(json.dumps({"ok": good, "findings": rows}, indent=1))
    else:
        _show(findings)
    return ExitCode.OK if good else ExitCode.FAILED


def _show(findings: "Sequence[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found, and what to mend"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        text = finding.says + (f"\n-> {finding.mend}" if finding.mend else "")
        table.add_row(Text(finding.grade, STYLES[finding.grade]), Text(finding.check), Text(text))
    Console().print(table)
    counts = {grade: sum(f.grade == grade for f in findings) for grade in STYLES}
    click.echo(", ".join(f"{count} {grade}" for grade, count in counts.items()))
