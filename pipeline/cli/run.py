"""`headrace run`: a pipeline against Kafka, in one process or several of the same group."""

import os
import signal
import subprocess
import sys
import threading
import time

import click

from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.options import bootstrap_option, config_options, load_config
from pipeline.cli.stopping import stop_on_signals
from pipeline.config.http_section import HttpSection
from pipeline.config.kafka_section import INSTANCE_ID, KafkaSection
from pipeline.config.load import Loaded
from pipeline.instance import instance_name
from pipeline.telemetry import logs

WORKER_END_S_MAX = 60.0
"""How long workers may take to drain before they are killed."""
_POLL_S = 0.2


@click.command()
@config_options
@bootstrap_option
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes of the group.")
@click.option("--view", is_flag=True, help="Show rate, outcomes and latencies as they are.")
def run(name: str, assignments: tuple[str, ...], bootstrap: str | None, workers: int, view: bool) -> int:
    """Run a pipeline until SIGTERM or SIGINT; then drain, publish, commit and leave the group."""
    stop = stop_on_signals()
    loaded = load_config(name, assignments, bootstrap)
    if workers > 1:
        names, ports = names_of(loaded.config.kafka, workers), ports_of(loaded.config.http, workers)
        own = [[*its_name, *its_port] for its_name, its_port in zip(names, ports, strict=True)]
        return run_workers([*_arguments(name, assignments, bootstrap)], own, stop)
    return run_here(loaded, stop, view=view)


def run_here(loaded: Loaded, stop: threading.Event, *, view: bool) -> int:
    """Run in this process; 0 when all that was read is delivered and committed."""
    from pipeline.cli.checks import check_checkpoints, check_cluster, check_features, check_traces

    config = loaded.config
    logs.lines_come_from(config.pipeline.name, instance_name())
    check_features(config)
    check_checkpoints(config)
    check_traces(config)
    check_cluster(config)
    # Only now: what takes longest to load is of no use where one of these refuses.
    from pipeline.service import run_pipeline
    from pipeline.telemetry.terminal import Terminal

    if view:
        with Terminal(config.pipeline.budget_ms) as terminal:
            summary = run_pipeline(config, stop=stop, on_meter=terminal.show)
    else:
        summary = run_pipeline(config, stop=stop)
    return ExitCode.OK if summary.drained else ExitCode.UNDELIVERED


def names_of(kafka: KafkaSection, workers: int) -> list[list[str]]:
    """What each worker is told of its name in the group: the configured one and a number, where there is one."""
    if not kafka.instance_id:
        return [[] for _ in range(workers)]
    table = "kafka.consumer" if INSTANCE_ID in kafka.consumer else "kafka"
    return [["--set", f"{table}.{INSTANCE_ID}={kafka.instance_id}-{number}"] for number in range(workers)]


def ports_of(http: HttpSection, workers: int) -> list[list[str]]:
    """What each worker is told of its port: the configured one and those after it, where one is named."""
    if not http.port:
        return [[] for _ in range(workers)]
    return [["--set", f"http.port={http.port + number}"] for number in range(workers)]


def run_workers(arguments: list[str], names: list[list[str]], stop: threading.Event) -> int:
    """Run the same command in several processes; when one ends, all are told to. Returns the worst code."""
    command = [sys.executable, "-m", "pipeline.cli", "run", *arguments, "--workers", "1"]
    # A session of their own: the terminal's Ctrl-C reaches them through us, once.
    environ = {**os.environ, **logs.environment()}
    running = [subprocess.Popen([*command, *own], env=environ, start_new_session=True) for own in names]
    try:
        while not stop.wait(_POLL_S) and all(worker.poll() is None for worker in running):
            pass
        for worker in running:
            worker.terminate()
        until_s = time.monotonic() + WORKER_END_S_MAX
        return max(_code(worker.wait(max(0.0, until_s - time.monotonic()))) for worker in running)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        return ExitCode.UNDELIVERED
    finally:
        for worker in running:
            worker.kill()


def _code(returned: int) -> int:
    """A worker that SIGTERM itself ended had not begun; any other signal is a failure."""
    if returned == -signal.SIGTERM:
        return ExitCode.OK
    return returned if returned >= 0 else ExitCode.FAILED


def _arguments(name: str, assignments: tuple[str, ...], bootstrap: str | None) -> list[str]:
    arguments = ["--config", name]
    for assignment in assignments:
        arguments += ["--set", assignment]
    return [*arguments, "--bootstrap", bootstrap] if bootstrap else arguments
