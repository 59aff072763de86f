"""Numbers of a report as people read them, the same on the terminal and on the page."""

import numpy as np

from pipeline.evaluation.report import Figure

NOTHING = "-"
MINUS = "\N{MINUS SIGN}"
GROUPS = {
    "quality": "Quality",
    "decisions": "Decisions",
    "latency": "Latency",
    "goodput": "Goodput",
    "cost": "Cost",
}
"""In the order in which they are shown."""


def number(figure: Figure, value: float | None) -> str:
    """A side's own value, with its unit."""
    if value is None:
        return NOTHING
    if figure.unit == "share":
        return f"{value:.2%}".replace("%", " %")
    if figure.unit == "":
        return f"{value:.4f}"
    return f"{rounded(value)} {figure.unit}"


def change(figure: Figure) -> str:
    """B against A: in percent of A, in points, or as it is."""
    return _change(figure, figure.change)


def interval(figure: Figure) -> str:
    """Where the change lies, with 95 % confidence."""
    if figure.low is None or figure.high is None:
        return NOTHING
    return f"{_change(figure, figure.low, bare=True)} to {_change(figure, figure.high)}"


def rounded(value: float) -> str:
    """Three digits that tell something, written out, and all that stand before its point."""
    size = abs(value)
    if size >= 10:
        return f"{value:,.0f}" if size >= 100 else f"{value:.1f}"
    return np.format_float_positional(value, precision=3, unique=False, fractional=False, trim="-")


def _change(figure: Figure, value: float | None, *, bare: bool = False) -> str:
    if value is None:
        return NOTHING
    if figure.relative:
        text, unit = f"{value * 100:+.1f}", " %"
    elif figure.unit == "share":
        text, unit = f"{value * 100:+.2f}", " points"
    else:
        text, unit = f"{value:+.4f}", ""
    if not float(text):
        text = text[1:]
    return text.replace("-", MINUS) + ("" if bare else unit)
