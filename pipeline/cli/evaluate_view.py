"""The table of `headrace evaluate`."""

from rich.console import Console
from rich.table import Table

from pipeline.evaluation.report import Report
from pipeline.evaluation.words import GROUPS, change, interval, number

WIDTH_MIN = 118
"""Of a report that goes into a file or a pipe: the table, unbroken."""
STYLES = {"better": "green", "worse": "red"}


def show(report: Report) -> None:
    """Print both sides, every figure with its interval and its word, and how many decisions changed."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_MIN)
    facts = ", ".join(f"{name} {value}" for name, value in report.recording.items())
    for text in (f"A  {report.a.title}", f"B  {report.b.title}", facts):
        console.print(text, highlight=False, markup=False)
    table = Table("", "A", "B", "B against A", "95 % interval", "B is")
    for column in table.columns[1:5]:
        column.justify = "right"
    for group in GROUPS:
        inside = [figure for figure in report.figures if figure.group == group]
        for figure in inside:
            values = (number(figure, figure.a), number(figure, figure.b), change(figure), interval(figure))
            style = STYLES.get(figure.verdict)
            word = f"[{style}]{figure.verdict}[/]" if style else figure.verdict
            table.add_row(figure.title, *values, word, end_section=figure is inside[-1])
    console.print(table)
    alike = report.agreement
    share = alike.flipped / max(alike.both, 1)
    console.print(f"{alike.flipped:,} of {alike.both:,} decisions changed ({share:.2%})", highlight=False)
