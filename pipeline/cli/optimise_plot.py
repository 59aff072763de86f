"""The drawing of `headrace models optimise`; needs matplotlib, the extra `plot`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

if TYPE_CHECKING:
    from models.optimise.study import Study

mpl.use("Agg")
Label = tuple[float, float, str, str]
"""A point's cost and quality, its name and its colour."""
FORMAT = FormatStrFormatter("%g")
NAME_POINTS, LINE_POINTS = 90, 12
PASSED, REFUSED, ORIGINAL, LINE = "#2f6fb0", "#c0504d", "#333333", "#9aa5b1"


def formats() -> list[str]:
    """The endings that a plot's name may have."""
    return sorted(Figure().canvas.get_supported_filetypes())


def draw(path: Path, study: "Study") -> None:
    """Quality against cost, with the interval of what is lost; what the gate refused is a cross."""
    figure = Figure(figsize=(9.5, 6.0))
    axis = figure.subplots()
    measured = [each for each in study.findings if each.cost and each.drop and each.quality is not None]
    best = measured[0].quality or 0.0
    labels: list[tuple[float, float, str, str]] = []
    for number, each in enumerate(measured):
        assert each.cost is not None
        assert each.drop is not None
        quality = best - each.drop.value
        spread = [[max(0.0, each.drop.high - each.drop.value)], [max(0.0, each.drop.value - each.drop.low)]]
        colour = ORIGINAL if number == 0 else PASSED if each.passed else REFUSED
        axis.errorbar(each.cost.ratio, quality, yerr=spread, color=colour, alpha=0.35, capsize=2)
        axis.plot(each.cost.ratio, quality, "o" if each.passed else "x", color=colour)
        labels.append((each.cost.ratio, quality, each.name, colour))
    front = sorted((cost, quality) for cost, quality, *_ in _those_on_front(study, labels))
    axis.plot([ratio for ratio, _ in front], [quality for _, quality in front], color=LINE, zorder=0, label="front")
    axis.axhline(best - study.limits.quality_drop_max, color=LINE, linestyle=":", label="quality that may be lost")
    axis.axvline(study.limits.cost_ratio_max, color=LINE, linestyle="--", label="cost that it has to be below")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FORMAT)
    axis.xaxis.set_minor_formatter(FORMAT)
    axis.set(xlabel="CPU time a row, of the original's", ylabel=study.measure)
    axis.set_title(f"{study.model}/{study.version}: {study.rows:,} held-out rows; crosses: refused by the gate")
    axis.margins(x=0.12)
    axis.legend(loc="best", fontsize=8)
    figure.tight_layout()
    _write_names(axis, labels)
    figure.savefig(path, dpi=110)


def _those_on_front(study: "Study", labels: Sequence[Label]) -> list[Label]:
    names = {each.name for each in study.findings if each.front}
    return [label for label in labels if label[2] in names]


def _write_names(axis: Any, labels: Sequence[Label]) -> None:
    """Each beside its point, or as far above as keeps names that are side by side apart."""
    taken: list[tuple[float, float]] = []
    for ratio, quality, name, colour in sorted(labels):
        x, y = axis.transData.transform((ratio, quality))
        above = 4.0
        while any(abs(x - there) < NAME_POINTS and abs(y + above - high) < LINE_POINTS for there, high in taken):
            above += LINE_POINTS
        taken.append((x, y + above))
        axis.annotate(name, (ratio, quality), (5, above), textcoords="offset points", fontsize=8, color=colour)
