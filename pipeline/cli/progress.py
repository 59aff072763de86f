"""How far a file has come: a bar on a terminal, one line at the end anywhere else."""

import time
from collections.abc import Iterable, Iterator

import click
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def with_progress(batches: Iterable[pa.RecordBatch], title: str, total_rows: int | None) -> Iterator[pa.RecordBatch]:
    """The batches themselves, while their rows are counted on the standard error."""
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
