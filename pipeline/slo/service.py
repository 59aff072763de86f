"""Running the SLO app: HTTP, questions to Kafka, posts, and Faust, in one event loop until told to stop."""

import asyncio
import contextlib
import logging
import signal

from pipeline.cli.stopping import SIGNALS
from pipeline.slo.app import faust_app
from pipeline.slo.asking import AskingThread, Sample
from pipeline.slo.config import SloConfig
from pipeline.slo.duty import Duty
from pipeline.slo.http import SloHttp
from pipeline.slo.keeping import Keeper
from pipeline.slo.notify import Notifier

TALKATIVE = {"faust": logging.WARNING, "mode": logging.ERROR, "aiokafka": logging.CRITICAL}
"""They tell of each step, and ten times a second that a broker is away; what matters of it is told here, once."""

log = logging.getLogger(__name__)


def run_slo(config: SloConfig) -> None:
    """Run until SIGTERM or SIGINT. Raises what ended it otherwise."""
    if log.getEffectiveLevel() > logging.DEBUG:
        for name, level in TALKATIVE.items():
            logging.getLogger(name).setLevel(level)
    asyncio.run(_run(config))


async def _run(config: SloConfig) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, _on_signal, stop, number)
    notifier = Notifier(config)
    duty = Duty(config, notifier, Keeper(config))
    http = SloHttp(config, duty, notifier)
    app = faust_app(config, duty)
    asking = AskingThread(config, lambda sample: _from_thread(loop, duty, sample))
    port = await http.start()
    log.info("http at %s:%d, group %s is being joined", config.http.host, port, config.app.group)
    posting = asyncio.create_task(notifier.run())
    asking.start()
    try:
        await app.start()
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(app.wait_until_stopped()), posting]
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if app.crash_reason is not None:
            raise app.crash_reason
    finally:
        asking.end()
        await duty.evaluate()
        posting.cancel()
        await app.stop()
        await http.stop()


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        raise KeyboardInterrupt
    log.info("%s: leaving the group", number.name)
    stop.set()


def _from_thread(loop: asyncio.AbstractEventLoop, duty: Duty, sample: Sample) -> None:
    with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
        loop.call_soon_threadsafe(duty.sampled, sample)
