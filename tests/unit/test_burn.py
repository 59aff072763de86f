"""Burn rates, by tables: what fires, what does not, what resolves."""

import numpy as np
import pytest

from pipeline.slo.burn import BurnRules, Pair, SloBurn, Verdict, budget_left_of, burn_of
from pipeline.slo.load import load_slo
from pipeline.slo.windows import Counts

MINUTE_MS = 60_000
HOUR = 60
RULES = load_slo("slo", environ={}).burn.rules()
OBJECTIVE = 0.999


def run(
    minutes: int, bad_share: "dict[range, float]", *, events: int = 60_000, rules: BurnRules = RULES
) -> list[tuple[int, Verdict]]:
    """Evaluate every minute over steady traffic; the changes, by minute."""
    burn = SloBurn(1 - OBJECTIVE, rules)
    changes = []
    for minute in range(minutes):
        share = next((share for span, share in bad_share.items() if minute in span), 0.0)
        bad = round(events * share)
        burn.add(minute * MINUTE_MS, events - bad, bad)
        verdicts = burn.evaluate((minute + 1) * MINUTE_MS)
        changes += [(minute + 1, verdict) for verdict in verdicts if verdict.changed]
    return changes


def told(changes: list[tuple[int, Verdict]]) -> list[tuple[int, str, str]]:
    return [(minute, verdict.severity, "firing" if verdict.firing else "resolved") for minute, verdict in changes]


@pytest.mark.parametrize(
    ("share", "page_after", "ticket_after"),
    [
        (1.0, 1, 1),  # an outage: 1.44 % of an hour is reached in the first minute
        (0.5, 2, 1),
        (0.0145, 60, 5),  # 14.5 times, just above 14.4: only when the long window is full of it
        (0.0062, 349, 12),  # 6.2 times: by the 6 h window
        (0.0059, None, 13),  # just below 6: never a page
        (0.0009, None, None),  # 0.9 times: never anything
    ],
)
def test_how_long_a_share_of_bad_events_takes_to_alert(
    share: float, page_after: int | None, ticket_after: int | None
) -> None:
    day = 24 * HOUR
    changes = told(run(2 * day, {range(day, 2 * day): share}))
    first = {severity: minute - day for minute, severity, state in reversed(changes) if state == "firing"}
    assert first.get("page") == page_after
    if ticket_after is None:
        assert "ticket" not in first
    else:
        assert first["ticket"] >= ticket_after


def test_a_short_spike_that_is_over_pages_and_resolves() -> None:
    spike = range(600, 602)
    changes = [change for change in told(run(1500, {spike: 1.0})) if change[1] == "page"]
    (fired, _, state), (over, _, last) = changes[0], changes[-1]
    assert (fired, state) == (601, "firing")
    assert last == "resolved"
    # Two bad minutes are 33 times the budget of an hour and 5.6 times that of six: it ends with the 5-minute window.
    assert over == 602 + 5 + 5
    assert len(changes) == 2, "it flapped"


def test_the_reading_is_of_the_pair_that_exceeds() -> None:
    (minute, page), *_ = [change for change in run(30, {range(20, 30): 1.0}) if change[1].severity == "page"]
    assert minute == 21
    assert page.since_ms == 21 * MINUTE_MS
    assert page.reading.pair.factor in (14.4, 6)
    assert page.reading.long_burn == pytest.approx(1 / 21 / 0.001)
    assert page.reading.exceeds


@pytest.mark.parametrize(
    ("events_min", "bad_min", "fires"), [(0, 0, True), (100, 0, True), (101, 0, False), (0, 10, True), (0, 11, False)]
)
def test_too_few_events_say_nothing(events_min: int, bad_min: int, fires: bool) -> None:
    pair = Pair("page", 10.0, 10 * MINUTE_MS, MINUTE_MS)
    burn = SloBurn(0.001, BurnRules((pair,), events_min, bad_min, 0))
    burn.add(0, 90, 10)
    (verdict,) = burn.evaluate(1)
    assert verdict.firing is fires


def test_an_alert_that_is_quiet_for_less_than_the_hold_goes_on() -> None:
    pair = Pair("page", 10.0, 10 * MINUTE_MS, MINUTE_MS)
    burn = SloBurn(0.001, BurnRules((pair,), 0, 0, 3 * MINUTE_MS))
    burn.add(0, 0, 100)
    assert burn.evaluate(0)[0].changed
    states = [burn.evaluate(minute * MINUTE_MS)[0].firing for minute in range(1, 8)]
    # At minute 1 the bad step is still in the short window; quiet from minute 2 on, over 3 minutes later.
    assert states == [True, True, True, True, False, False, False]
    assert burn.evaluate(8 * MINUTE_MS)[0].since_ms == 5 * MINUTE_MS


def test_burn_and_what_is_left_of_the_budget() -> None:
    assert burn_of(Counts(0, 0), 0.001) == 0
    assert burn_of(Counts(999, 1), 0.001) == pytest.approx(1)
    assert budget_left_of(Counts(9995, 5), 0.001) == pytest.approx(0.5)
    assert budget_left_of(Counts(0, 5), 0.001) == pytest.approx(-999)


@pytest.mark.parametrize("events_a_minute", [30, 600, 60_000])
def test_a_day_at_half_the_budgets_burn_alerts_nobody(events_a_minute: int) -> None:
    for seed in range(4):
        random = np.random.default_rng(seed)
        burn = SloBurn(1 - OBJECTIVE, RULES)
        fired = []
        for minute in range(24 * HOUR):
            events = int(random.poisson(events_a_minute))
            bad = int(random.binomial(events, 0.5 * (1 - OBJECTIVE)))
            burn.add(minute * MINUTE_MS, events - bad, bad)
            fired += [v for v in burn.evaluate((minute + 1) * MINUTE_MS) if v.firing]
        assert burn.counts(24 * HOUR * MINUTE_MS).bad > 0
        assert not fired, f"seed {seed}"
