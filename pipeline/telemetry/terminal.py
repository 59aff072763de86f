"""The live view of a running pipeline: a panel on a terminal, plain lines anywhere else, a summary at the end."""

from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.telemetry.histogram import Histogram
from pipeline.wire.metrics import MetricsRecord

DECIDED = ("scored", "degraded", "expired", "dead_letter")
_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 26
_BATCH_BAR_CELLS = 14
_BATCH_LINES_MAX = 6


def quantile_ms(record: MetricsRecord, histogram: str, fraction: float) -> float | None:
    """A quantile of one of a record's histograms, in ms; None when nothing was counted."""
    found = Histogram.of(record.histograms.get(histogram, {})).quantile(fraction)
    return None if found is None else found / 1000


def rate_s(record: MetricsRecord) -> float:
    """Outcomes a second, absorbed records among them."""
    return sum(record.outcomes.values()) * 1000 / max(1, record.to_ms - record.from_ms)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def _outcomes(outcomes: Mapping[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in outcomes.items() if count or name == "scored"]
    return ", ".join(shown)


def line_of(record: MetricsRecord, budget_ms: int) -> str:
    """One record as a line of plain text."""
    batches = Histogram.of(record.batch_rows)
    return (
        f"{rate_s(record):,.0f}/s | {_outcomes(record.outcomes)} | "
        f"p50 {_ms(quantile_ms(record, 'age', 0.5))}, p99 {_ms(quantile_ms(record, 'age', 0.99))} "
        f"of {budget_ms} ms | missed {record.deadline_misses:,} | "
        f"batch p50 {batches.quantile(0.5) or 0:.0f} max {batches.quantile(1.0) or 0:.0f} rows | "
        f"lag {sum(record.lag.values()):,}"
    )


def _bar(fraction: float, cells: int) -> str:
    eighths = round(max(0.0, min(1.0, fraction)) * cells * len(_BAR))
    whole, part = divmod(eighths, len(_BAR))
    return _BAR[-1] * whole + (_BAR[part - 1] if part else "")


def _latencies(record: MetricsRecord, budget_ms: int) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("latency", style="bold")
    for name in ("p50", "p99"):
        table.add_column(name, justify="right")
    table.add_column(f"p99 of the budget, {budget_ms:,} ms")
    for name in ("queue", "features", "score", "total", "delivery", "age"):
        high = quantile_ms(record, name, 0.99)
        over = high is not None and high > budget_ms
        bar = Text(_bar((high or 0) / budget_ms, _BAR_CELLS), style="red" if over else "green")
        table.add_row(name, _ms(quantile_ms(record, name, 0.5)), _ms(high), bar)
    return table


def _batches(record: MetricsRecord) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("batch", justify="right", style="bold")
    table.add_column("batches", justify="right")
    table.add_column("")
    grouped: dict[int, int] = {}
    for bucket, count in record.batch_rows.items():
        rows = 1 << max(0, bucket - 1).bit_length()
        grouped[rows] = grouped.get(rows, 0) + count
    most = max(grouped.values(), default=1)
    for rows in sorted(grouped)[-_BATCH_LINES_MAX:]:
        table.add_row(
            f"<= {rows}", f"{grouped[rows]:,}", Text(_bar(grouped[rows] / most, _BATCH_BAR_CELLS), style="cyan")
        )
    return table


def view_of(record: MetricsRecord, totals: MetricsRecord, budget_ms: int) -> RenderableType:
    """The live view, for 80 columns: the last record in detail, everything so far in counts."""
    head = Text.assemble(
        (f"{record.pipeline}  ", "bold"),
        (f"{rate_s(record):,.0f} records/s", "bold green"),
        f"   lag {sum(record.lag.values()):,}",
    )
    so_far = f"missed deadlines {totals.deadline_misses:,}   late {totals.late:,}"
    counts = Table(box=None, pad_edge=False)
    counts.add_column("outcome", style="bold")
    counts.add_column("last", justify="right")
    counts.add_column("so far", justify="right")
    for name, total in totals.outcomes.items():
        counts.add_row(name, f"{record.outcomes.get(name, 0):,}", f"{total:,}")
    beside = Table.grid(padding=(0, 3))
    beside.add_row(counts, _batches(record))
    return Group(head, Text(so_far), Text(""), beside, Text(""), _latencies(record, budget_ms))


def summary_of(totals: MetricsRecord, read: int, budget_ms: int) -> str:
    """The end of a run, as text: every record read has its outcome, or how many have not."""
    ended = sum(totals.outcomes.values())
    decided = sum(totals.outcomes.get(name, 0) for name in DECIDED)
    lines = [
        f"{totals.pipeline}: {read:,} records read in {(totals.to_ms - totals.from_ms) / 1000:.1f} s",
        *(f"  {name:<12}{count:>14,}" for name, count in totals.outcomes.items()),
        f"  {'sum':<12}{ended:>14,}  {'= read' if ended == read else f'read and not ended: {read - ended:,}'}",
        f"  {'delivered':<12}{totals.delivered:>14,}  "
        + ("= all but absorbed" if totals.delivered == decided else f"of {decided:,}"),
        f"  p50 {_ms(quantile_ms(totals, 'age', 0.5))}, p99 {_ms(quantile_ms(totals, 'age', 0.99))} from "
        f"record to delivery, budget {budget_ms:,} ms",
        f"  {totals.deadline_misses:,} missed their deadline",
    ]
    lines += [f"  dead letters {code}: {count:,}" for code, count in sorted(totals.dead_letter_codes.items())]
    return "\n".join(lines)


class Terminal:
    """A sink of metrics records that shows them; on anything but a terminal one line a record.

    Use it as a context manager: the live view ends with it, whatever ended the run.
    """

    def __init__(self, budget_ms: int, console: Console | None = None) -> None:
        self._budget_ms = budget_ms
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> "Terminal":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, record: MetricsRecord, totals: MetricsRecord) -> None:
        """Show a record, with everything so far."""
        if self._live is not None:
            self._live.update(view_of(record, totals, self._budget_ms), refresh=True)
        else:
            self._plain(line_of(record, self._budget_ms))

    def summary(self, totals: MetricsRecord, read: int) -> None:
        """Say how the run ended; call after leaving the context."""
        self._plain(summary_of(totals, read, self._budget_ms))

    def _plain(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
