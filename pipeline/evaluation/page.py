"""A report as one HTML file that needs nothing else: no script, no request, light and dark."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template

from pipeline.evaluation.drawing import Axis, interval_bar, lines, stacks
from pipeline.evaluation.report import Figure, Report, SideReport
from pipeline.evaluation.words import GROUPS, NOTHING, change, interval, number, rounded

CARDS = (("ap", "decided"), ("cost",), ("age_p99_ms",), ("goodput",))
OUTCOMES = ("scored", "degraded", "expired", "dead_letter")
TAIL_LOW = 1e-4


def page_of(report: Report) -> str:
    """The document."""
    sides = (report.a, report.b)
    return Template(files("pipeline.evaluation").joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{report.pipeline}: {report.a.title} against {report.b.title}"),
        heading=f"What if: {escape(report.pipeline)}, B against A",
        sides="".join(
            f'<li><span class="letter {side.letter}">{side.letter}</span>{escape(side.title)} '
            f"<small>{escape(', '.join(side.tiers))}</small></li>"
            for side in sides
        ),
        facts=" · ".join(f"{escape(name)} {escape(value)}" for name, value in report.recording.items()),
        cards="".join(_card(figure) for names in CARDS if (figure := _first(report, names)) is not None),
        figures=_figures(report.figures),
        plots=_plots(report),
        decisions=_decisions(report),
        differing=_differing(report),
        notes="".join(f"<li>{escape(note)}</li>" for note in report.notes),
        made=f"Made {_day(report.made_ms)} UTC by <code>headrace evaluate</code> "
        + " ".join(f"<code>{escape(name)} {escape(value)}</code>" for name, value in report.settings.items()),
    )


def _first(report: Report, names: Sequence[str]) -> Figure | None:
    found = [one for name in names for one in report.figures if one.name.startswith(name)]
    return found[0] if found else None


def _kind(figure: Figure) -> str:
    return figure.verdict if figure.verdict in ("better", "worse") else "none"


def _card(figure: Figure) -> str:
    return (
        f'<div class="card"><p class="muted">{escape(figure.title)}</p>'
        f'<b class="{_kind(figure)}">{escape(figure.verdict)}</b>'
        f"<p>{number(figure, figure.a)} → {number(figure, figure.b)}</p>"
        f'<p class="muted">{change(figure)} ({interval(figure)})</p></div>'
    )


def _figures(figures: Sequence[Figure]) -> str:
    rows = []
    for group, title in GROUPS.items():
        inside = [figure for figure in figures if figure.group == group]
        if inside:
            rows.append(f'<tr class="group"><th colspan="7">{title}</th></tr>')
        for figure in inside:
            alike = [one for one in inside if (one.relative, one.unit == "") == (figure.relative, figure.unit == "")]
            widest = max((abs(end) for one in alike for end in (one.low, one.high) if end is not None), default=0.0)
            bar = interval_bar(figure.low, figure.change, figure.high, widest, _kind(figure))
            rows.append(
                f"<tr><td>{escape(figure.title)}</td>"
                f'<td class="n" data-of="A">{number(figure, figure.a)}</td>'
                f'<td class="n" data-of="B">{number(figure, figure.b)}</td>'
                f'<td class="n" data-of="B against A">{change(figure)}</td>'
                f'<td class="wide">{interval(figure)}</td><td class="bars {_kind(figure)}">{bar}</td>'
                f'<td class="verdict {_kind(figure)}">{escape(figure.verdict)}</td></tr>'
            )
    return "".join(rows)


def _plots(report: Report) -> str:
    sides = (report.a, report.b)
    made = []
    if all(side.curve for side in sides):
        made.append(_plot("Precision by recall", _precision_recall(sides)))
    if all(side.tail_ms for side in sides):
        made.append(_plot("Latency, timestamp to delivery", _tails(sides)))
    if all(side.round_cpu_us for side in sides):
        made.append(_plot("CPU a decision, round by round", _cpu(sides)))
        legend = "".join(f'<span><i class="box {name}"></i>{name.replace("_", " ")}</span>' for name in OUTCOMES)
        made.append(_plot("How events ended in the rounds", _outcomes(sides), legend))
    return f'<section><div class="plots">{"".join(made)}</div></section>' if made else ""


def _plot(title: str, svg: str, legend: str = "") -> str:
    named = legend or '<span><i class="A"></i>A</span><span><i class="B"></i>B</span>'
    return f'<div><h3>{title}</h3><div class="key">{named}</div>{svg}</div>'


def _precision_recall(sides: Sequence[SideReport]) -> str:
    across, up = Axis(0, 1, "recall"), Axis(0, 1, "precision")
    return lines("precision by recall of both sides", across, up, [(side.letter, side.curve) for side in sides])


def _tails(sides: Sequence[SideReport]) -> str:
    every = [ms for side in sides for ms, _ in side.tail_ms if ms > 0]
    across = Axis(min(every), max(every) * 1.05, "ms", log=True)
    up = Axis(TAIL_LOW, 1, "share of events above", log=True, text=lambda share: f"{share * 100:g} %")
    points = [(side.letter, [(ms, share) for ms, share in side.tail_ms if share >= TAIL_LOW]) for side in sides]
    return lines("share of events above a latency, both sides", across, up, points)


def _cpu(sides: Sequence[SideReport]) -> str:
    rounds = len(sides[0].round_cpu_us)
    highest = max(value for side in sides for value in side.round_cpu_us)
    across = Axis(0.5, rounds + 0.5, "round")
    up = Axis(0, highest * 1.1, "µs", text=lambda value: rounded(value) if value else "0")
    points = [(side.letter, list(enumerate(side.round_cpu_us, 1))) for side in sides]
    return lines("CPU a decision in each round, both sides", across, up, points, marker=True)


def _outcomes(sides: Sequence[SideReport]) -> str:
    bars = []
    for side in sides:
        whole = max(1, sum(side.outcomes.values()))
        bars.append((side.letter, [(name, side.outcomes.get(name, 0) / whole) for name in OUTCOMES]))
    return stacks("how events ended, both sides", bars)


def _decisions(report: Report) -> str:
    alike = report.agreement
    share = alike.flipped / max(alike.both, 1)
    told = [f"<p>{alike.flipped:,} of {alike.both:,} events ({share:.2%}) have another decision in B."]
    if alike.rank_correlation is not None:
        told.append(
            f" Scores rank alike by {alike.rank_correlation:.3f} (Spearman); half differ by at most "
            f"{alike.score_gap_p50:.3g}, 99 of 100 by at most {alike.score_gap_p99:.3g}."
        )
    told.append(
        f'</p><div class="halves"><div><h3>A down, B across</h3>{_crossed(alike.flips, "A", flips=True)}</div>'
    )
    tables = [
        f"<div><h3>{side.letter} by label</h3>{_crossed(side.confusion, '')}</div>" for side in (report.a, report.b)
    ]
    told += [*tables, "</div>"]
    if alike.changed:
        told.append(f'<h3 style="margin-top:16px">Changed most</h3><div class="scroll">{_changed(report)}</div>')
    return "".join(told)


def _crossed(table: dict[str, dict[str, int]], corner: str, *, flips: bool = False) -> str:
    labels = list(next(iter(table.values())))
    head = "".join(f'<th class="n">{escape(label)}</th>' for label in labels)
    rows = [
        f"<tr><th>{escape(name)}</th>"
        + "".join(
            f'<td class="n{" flip" if flips and label != name and count else ""}">{count:,}</td>'
            for label, count in counts.items()
        )
        + "</tr>"
        for name, counts in table.items()
    ]
    return f"<table><tr><th>{corner}</th>{head}</tr>{''.join(rows)}</table>"


def _changed(report: Report) -> str:
    labelled = report.agreement.changed[0].positive is not None
    head = ["event", "time (UTC)", "key", "A", "score", "B", "score", *(["label"] if labelled else [])]
    rows = []
    for one in report.agreement.changed:
        cells = [one.id, _day(one.time_ms), one.key, one.a, _score(one.score_a), one.b, _score(one.score_b)]
        cells += ["positive" if one.positive else "negative"] if labelled else []
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>{''.join(rows)}</table>"


def _differing(report: Report) -> str:
    if not report.differing:
        return "<p>Nothing that decides: both have the same values.</p>"
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code></td><td><code>{escape(a)}</code></td><td><code>{escape(b)}</code></td></tr>"
        for key, a, b in report.differing
    )
    return f'<div class="scroll"><table><tr><th>key</th><th>A</th><th>B</th></tr>{rows}</table></div>'


def _score(score: float | None) -> str:
    return NOTHING if score is None else f"{score:.4f}"


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
