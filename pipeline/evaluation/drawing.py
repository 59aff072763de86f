"""Inline SVG: lines, steps and intervals, coloured by the page's own style sheet. Pure text."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 42
BAR_WIDTH, BAR_HEIGHT = 200, 18
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, of equal steps or of equal factors; `text` writes a mark."""

    low: float
    high: float
    title: str
    log: bool = False
    text: Callable[[float], str] = lambda value: f"{value:g}"

    def at(self, value: float) -> float:
        """Where a value lies, from 0 to 1; what is outside lies on the edge."""
        low, high, place = (
            math.log10(max(each, 1e-12)) if self.log else each for each in (self.low, self.high, value)
        )
        return min(1.0, max(0.0, (place - low) / (high - low))) if high > low else 0.5

    def marks(self) -> list[float]:
        """Round values, three to seven of them."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            factors = (1,) if last - first > 2 else (1, 2, 5)
            every = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
            return [value for value in every if self.low * 0.999 <= value <= self.high * 1.001]
        step = _round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        return [count * step for count in range(first, math.floor(self.high / step + 1e-9) + 1)]


def lines(title: str, across: Axis, up: Axis, series: Sequence[tuple[str, Points]], marker: bool = False) -> str:
    """A plot of named series, each drawn in the class of its name; `marker` puts a dot at each point."""
    parts = [_frame(across, up)]
    for name, points in series:
        placed = [(_x(across, x), _y(up, y)) for x, y in points]
        if placed:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            parts.append(f'<polyline class="line {name}" points="{path}"/>')
        if marker:
            parts += [f'<circle class="dot {name}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in placed]
    return _svg(title, WIDTH, HEIGHT, "".join(parts))


def stacks(title: str, bars: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """A horizontal bar for each name, of parts by class and share of the whole."""
    height = 34 * len(bars) + 4
    parts = []
    for number, (name, shares) in enumerate(bars):
        top, left = 34 * number + 4, 24.0
        parts.append(f'<text class="strong" x="4" y="{top + 18}">{escape(name)}</text>')
        for kind, share in shares:
            wide = share * (WIDTH - 28)
            if wide > 0:
                told = f"<title>{escape(kind)}: {share:.2%}</title>"
                parts.append(
                    f'<rect class="fill {escape(kind)}" x="{left:.1f}" y="{top}" width="{max(wide, 0.8):.1f}" '
                    f'height="26">{told}</rect>'
                )
            left += wide
    return _svg(title, WIDTH, height, "".join(parts))


def interval_bar(low: float | None, value: float | None, high: float | None, widest: float, kind: str) -> str:
    """An interval about zero, which is in the middle; `widest` is at either end."""
    if low is None or value is None or high is None or widest <= 0:
        return ""
    axis = Axis(-widest, widest, "")
    left, middle, right = (axis.at(each) * (BAR_WIDTH - 12) + 6 for each in (low, value, high))
    y = BAR_HEIGHT / 2
    return (
        f'<svg class="bar" viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" aria-hidden="true">'
        f'<line class="zero" x1="{BAR_WIDTH / 2}" x2="{BAR_WIDTH / 2}" y1="0" y2="{BAR_HEIGHT}"/>'
        f'<line class="range {kind}" x1="{left:.1f}" x2="{right:.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="dot {kind}" cx="{middle:.1f}" cy="{y}" r="4"/></svg>'
    )


def _frame(across: Axis, up: Axis) -> str:
    base, edge = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for mark in up.marks():
        y = _y(up, mark)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{edge}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{escape(up.text(mark))}</text>')
    for mark in across.marks():
        x = _x(across, mark)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{base}"/>')
        parts.append(f'<text class="mid" x="{x:.1f}" y="{base + 17}">{escape(across.text(mark))}</text>')
    middle = (TOP + base) / 2
    parts.append(f'<text class="mid" x="{(LEFT + edge) / 2}" y="{HEIGHT - 6}">{escape(across.title)}</text>')
    turned = f'transform="rotate(-90 13 {middle})"'
    parts.append(f'<text class="mid" x="13" y="{middle}" {turned}>{escape(up.title)}</text>')
    return "".join(parts)


def _svg(title: str, width: int, height: int, inner: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{inner}</svg>'


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.at(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.at(value) * (HEIGHT - TOP - BOTTOM)


def _round_step(wanted: float) -> float:
    power = 10.0 ** math.floor(math.log10(wanted)) if wanted > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * 0.999)
