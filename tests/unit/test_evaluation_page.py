"""The report, as a page of its own and as JSON."""

import re

import msgspec
import numpy as np
import pytest
from made_up_recording import decided, played, quiet, recording, side

from pipeline.evaluation.evaluate import Asked, Price, report_of
from pipeline.evaluation.page import page_of
from pipeline.evaluation.report import Figure, Report
from pipeline.evaluation.rounds import Pace
from pipeline.evaluation.words import change, interval, number


def figure(**changed: object) -> Figure:
    plain = {"name": "x", "group": "cost", "title": "x", "unit": "ms", "a": 1.0, "b": 2.0, "change": 1.0, "low": 0.5}
    more = {"high": 1.5, "relative": True, "better": "lower", "verdict": "worse"}
    return Figure(**{**plain, **more, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (figure(), ("1 ms", "+100.0 %", "+50.0 to +150.0 %")),
        (figure(unit="share", relative=False, a=0.5, change=-0.001, low=-0.002, high=-1e-9),
         ("50.00 %", "~0.10 points", "~0.20 to 0.00 points")),
        (figure(unit="", relative=False, a=0.87123, change=0.00499, low=None, high=None), ("0.8712", "+0.0050", "-")),
        (figure(a=None, change=None), ("-", "-", "+50.0 to +150.0 %")),
        (figure(a=0.0000923), ("0.0000923 ms", "+100.0 %", "+50.0 to +150.0 %")),
        (figure(a=123456.7), ("123,457 ms", "+100.0 %", "+50.0 to +150.0 %")),
    ],
)  # fmt: skip
def test_numbers_are_said_with_their_unit(of: Figure, told: tuple[str, str, str]) -> None:
    assert (number(of, of.a), change(of), interval(of)) == tuple(part.replace("~", "\N{MINUS SIGN}") for part in told)


def made(*, nasty: str = "") -> Report:
    of = recording()
    a, b = decided(of, 0.1), decided(of, 0.2, seed=2)
    times = np.random.default_rng(1).integers(900, 30_000, (4, 200)).tolist()
    sides = (side("A"), side("B", "decide.thresholds=[0.4, 0.9]"))
    return report_of(
        of, sides, [a, b], [played(times), played(times, 0.2)], 100.0,
        Asked(Pace(8, 4), 3, Price(0.04, "USD"), 1, 1_600_000_000_000, {"": f"{nasty}file.parquet"}), quiet,
    )  # fmt: skip


def test_the_page_needs_nothing_but_itself_and_escapes_what_it_is_given() -> None:
    page = page_of(made(nasty="<script>alert(1)</script>"))
    assert not re.search(r"https?://|src=|url\(|<link|<script", page)
    assert "&lt;script&gt;" in page
    assert "$" not in re.sub(r"\$\d", "", page)
    assert page.count('<svg viewBox="0 0 460') == 4
    assert page.count('class="bar"') > 10
    for text in ("average precision", "decide.thresholds", "no difference seen", "Changed most", "µs"):
        assert text in page
    assert "NaN" not in page
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", page)


def test_the_report_is_json_and_back() -> None:
    report = made()
    assert msgspec.json.decode(report.encode(), type=Report) == report
    assert report.figure("ap") is not None
    assert report.figure("nothing") is None
