"""The first signal asks for a drain, the second ends the process."""

import signal
from collections.abc import Iterator

import click
import pytest

from pipeline.cli.app import headrace, run
from pipeline.cli.exit_codes import INTERRUPTED
from pipeline.cli.stopping import SIGNALS, stop_on_signals


@pytest.fixture(autouse=True)
def _handlers_kept() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_first_signal_asks_and_the_second_interrupts(first: signal.Signals, second: signal.Signals) -> None:
    stop = stop_on_signals()
    assert not stop.is_set()
    signal.raise_signal(first)
    assert stop.is_set()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(second)


def test_a_command_that_is_interrupted_ends_with_the_documented_code(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def twice() -> None:
        stop_on_signals()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(headrace, "get_command", lambda _context, _name: twice)
    assert run(["twice"]) == INTERRUPTED
