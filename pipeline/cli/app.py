"""The group of commands, and the one place where an error becomes a message and an exit code."""

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Any

import click

from pipeline.cli.exit_codes import EPILOG, INTERRUPTED, exit_code_of, message_of
from pipeline.telemetry.log_lines import FORMATS, TEXT
from pipeline.telemetry.logs import set_up_logs, writes_json

log = logging.getLogger(__name__)
COMMANDS = {
    "backfill": "pipeline.cli.backfill:backfill",
    "config": "pipeline.cli.config:config",
    "cost": "pipeline.cli.cost:cost",
    "demo": "pipeline.cli.demo:demo",
    "doctor": "pipeline.cli.doctor:doctor",
    "evaluate": "pipeline.cli.evaluate:evaluate",
    "models": "pipeline.cli.models:models",
    "plan": "pipeline.cli.plan:plan",
    "quality": "pipeline.cli.quality:quality",
    "replay": "pipeline.cli.replay:replay",
    "rollout": "pipeline.cli.rollout:rollout",
    "run": "pipeline.cli.run:run",
    "simulate": "pipeline.cli.simulate:simulate",
    "slo": "pipeline.cli.slo:slo",
    "topics": "pipeline.cli.topics:topics",
    "train": "pipeline.cli.train:train",
}
SUMMARIES = {
    "backfill": "Compute the features of files, offline, by the stream's own kernels.",
    "config": "Check a configuration, or show the values in force.",
    "cost": "Print what decisions cost: CPU, GPU, energy and money by tenant, model and tier.",
    "demo": "Simulated traffic through a shipped pipeline, live, with nothing to install.",
    "doctor": "Look at models, folders, broker, topics, offsets and clocks; say what to mend.",
    "evaluate": "Compare two configurations on recorded traffic: quality, latency, goodput and cost.",
    "models": "List the models of a repository; have them cheaper, pair them in a cascade.",
    "plan": "Predict latencies, goodput and the processes that a load needs, in virtual time.",
    "quality": "Tell how good decisions were, as their labels come in.",
    "replay": "Put files through the pipeline, or into its topics.",
    "rollout": "Let another version of a model answer: a share of the keys, copies, or all; take it back.",
    "run": "Run a pipeline against Kafka until it is told to stop.",
    "simulate": "Produce simulated card traffic or camera frames to the topics of a pipeline.",
    "slo": "Watch the SLOs of all pipelines until it is told to stop, and alert.",
    "topics": "Create the topics of a pipeline.",
    "train": "Train a pipeline's models on files.",
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one only to run it, so that `--help` answers at once."""

    # `ctx` is click's own signature, here and below.
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in self.list_commands(ctx)])


def _show_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        click.echo(f"headrace {version('headrace')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="HEADRACE_LOG_LEVEL",
    help="What goes to the standard error.",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default=TEXT,
    show_default=True,
    envvar="HEADRACE_LOG_FORMAT",
    help="Lines for people, or one JSON object a line.",
)
@click.option(
    "--log-contents",
    is_flag=True,
    envvar="HEADRACE_LOG_CONTENTS",
    help="Let keys and contents of events into the log; else they never are.",
)
def headrace(log_level: str, log_format: str, log_contents: bool) -> None:
    """A stream processor for decisions that have a deadline."""
    set_up_logs(log_level, log_format, contents=log_contents)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. What went wrong goes to the standard error, without a traceback."""
    try:
        result: Any = headrace.main(arguments, prog_name="headrace", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        log.debug("command failed", exc_info=error)
        code = int(exit_code_of(error))
        if writes_json():
            log.critical("%s", message_of(error), extra={"exit_code": code})
        else:
            click.echo(f"headrace: {message_of(error)}", err=True)
        return code
