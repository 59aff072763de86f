"""`headrace demo`: an embedded cluster, a simulator beside it, and the pipeline between them, live."""

import os
import threading

import click

from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.simulator import SimulatorProcess
from pipeline.cli.stopping import stop_on_signals
from pipeline.config.load import Loaded, load
from pipeline.instance import instance_name
from pipeline.telemetry import logs

GIVE_UP_MS = 30_000
"""How long after the simulator's end an outcome may be missing before the demo says so."""
SETTINGS = (
    "kafka.group.id=headrace-demo",
    "kafka.consumer.auto.offset.reset=earliest",
)


@click.command()
@click.option("--pipeline", "name", type=click.Choice(["fraud", "vision"]), default="fraud", show_default=True)
@click.option("--rate", type=click.IntRange(1), help="Events a second: 2,000 transactions, 200 frames of 8 cameras.")
@click.option("--seconds", type=click.IntRange(1), help="End after so many seconds of traffic; else by Ctrl-C.")
@click.option("--partitions", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of what is simulated.")
def demo(name: str, rate: int | None, seconds: int | None, partitions: int, seed: int) -> int:
    """Card traffic or camera frames through their pipeline, live; ends with a summary whose counts add up.

    The cluster in this process keeps 5 MB a partition: seven seconds of frames at 200 a second over 4 partitions.
    """
    from pipeline.kafka.embedded import EmbeddedCluster

    plain = load(name, environ=os.environ)
    with EmbeddedCluster(dict.fromkeys(plain.config.topic_names, partitions)) as cluster:
        assignments = (*SETTINGS, f"kafka.bootstrap.servers={cluster.bootstrap}")
        loaded = load(name, environ=os.environ, assignments=assignments)
        simulator = SimulatorProcess(name, cluster.bootstrap, rate=rate, seconds=seconds, seed=seed)
        try:
            return _run(loaded, simulator)
        finally:
            simulator.kill()


def _run(loaded: Loaded, simulator: SimulatorProcess) -> int:
    from pipeline.service import run_pipeline
    from pipeline.telemetry.terminal import DECIDED, Terminal
    from pipeline.wire.metrics import MetricsRecord

    logs.lines_come_from(loaded.config.pipeline.name, instance_name())
    asked, stop = stop_on_signals(), threading.Event()
    ending = Ending(simulator, asked, stop)
    terminal = Terminal(loaded.config.pipeline.budget_ms)
    click.echo(
        f"{loaded.source.name}: starting; the first start compiles the kernels, which takes a minute", err=True
    )
    with terminal:

        def show(record: MetricsRecord, totals: MetricsRecord) -> None:
            terminal.show(record, totals)
            ending.look(sum(totals.outcomes.get(name, 0) for name in DECIDED), record.to_ms)

        summary = run_pipeline(
            loaded.config, stop=stop, on_meter=show, on_ready=simulator.start, on_serving=_tell_page
        )
    totals = summary.totals
    terminal.summary(totals, totals.counts.get("read", 0))
    decided = sum(totals.outcomes.get(name, 0) for name in DECIDED)
    simulated = simulator.produced() or 0
    click.echo(f"simulated {simulated:,}, decided {decided:,}: {'all' if simulated == decided else 'NOT EQUAL'}")
    if simulator.failed():
        click.echo(f"headrace: the simulator failed, see above (exit code {simulator.code})", err=True)
        return ExitCode.FAILED
    return ExitCode.OK if summary.drained and simulated == decided else ExitCode.FAILED


def _tell_page(url: str) -> None:
    click.echo(f"live page: {url}", err=True)


class Ending:
    """Decides when the demo is over: when all that was simulated is decided. Looked at once a metrics record."""

    def __init__(self, simulator: SimulatorProcess, asked: threading.Event, stop: threading.Event) -> None:
        self._simulator = simulator
        self._asked = asked
        self._stop = stop
        self._ended_ms: int | None = None

    def look(self, decided: int, now_ms: int) -> None:
        """Set `stop` when all is decided, when the simulator failed, or when waiting any longer is no use."""
        if self._asked.is_set():
            self._simulator.terminate()
        simulated = self._simulator.produced()
        if simulated is None:
            return
        self._ended_ms = self._ended_ms or now_ms
        if decided >= simulated or self._simulator.failed() or now_ms - self._ended_ms > GIVE_UP_MS:
            self._stop.set()
