"""How far a long command has come: a bar or lines on the standard error."""

import math
import time
from collections.abc import Callable, Iterable, Iterator

import click
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

TELL_S = 2.0


def with_progress(batches: Iterable[pa.RecordBatch], title: str, total_rows: int | None) -> Iterator[pa.RecordBatch]:
    """The batches themselves, while rows are counted: a bar on a terminal, one line at the end anywhere else."""
    began_s, rows = time.monotonic(), 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total_rows)
        for batch in batches:
            yield batch
            rows += batch.num_rows
            progress.update(task, completed=rows)
    took_s = max(time.monotonic() - began_s, 1e-9)
    click.echo(f"{title}: {rows:,} rows in {took_s:,.1f} s, {rows / took_s:,.0f} a second", err=True)


def tell_sometimes(
    after_s: float = TELL_S, now_s: Callable[[], float] = time.monotonic, *, at_once: bool = False
) -> Callable[[str], None]:
    """Tells on the standard error what goes on: nothing for the first seconds, then of many alike one every few.

    `at_once`: the first is told when it comes.
    """
    told_s = -math.inf if at_once else now_s()

    def tell(text: str) -> None:
        nonlocal told_s
        if now_s() - told_s > after_s:
            told_s = now_s()
            click.echo(text, err=True)

    return tell
