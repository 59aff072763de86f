"""A budget that is crossed is told once, and once when it is kept again."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bill.budget import SPAN_MS, SPAN_MS_MIN, Budget
from pipeline.bill.prices import Prices, Usage

MIN_MS = 60_000


def told(budget: Budget, spent: list[float], decisions: int = 1000) -> list[tuple[int, str, bool]]:
    """A minute each, with so much spent in it; minute, budget and direction of each crossing."""
    money, found = 0.0, []
    for minute, more in enumerate(spent):
        money += more
        crossings = budget.observe(minute * MIN_MS, money, minute * decisions)
        found += [(minute, crossing.budget, crossing.over) for crossing in crossings]
    return found


def test_nothing_is_said_before_enough_is_known() -> None:
    assert told(Budget(1.0, 0.0), [1.0] * (SPAN_MS_MIN // MIN_MS)) == []
    assert told(Budget(1.0, 0.0), [1.0] * (SPAN_MS_MIN // MIN_MS + 1)) == [(5, "a_day", True)]


def test_one_crossing_is_told_once_until_it_is_kept_again() -> None:
    spent = [0.0] * 10 + [1.0] * 30 + [0.0] * 120 + [1.0] * 30
    found = told(Budget(1440 / 3, 0.0), spent)
    assert [(what, over) for _, what, over in found] == [("a_day", True), ("a_day", False), ("a_day", True)]


def test_a_rate_that_wavers_about_the_budget_is_one_crossing() -> None:
    spent = [1.0, 1.0, 1.0] * 40 + [0.97, 1.04, 1.0] * 60
    assert len(told(Budget(1440.0 * 0.999, 0.0), spent)) == 1


def test_a_million_decisions_are_held_to_their_own() -> None:
    budget = Budget(0.0, 500.0)
    assert told(budget, [0.0] + [0.6] * 10) == [(5, "per_million", True)]
    assert budget.allowed == {"per_million": 500.0}
    assert round(budget.spent["per_million"]) == 600


def test_no_decision_has_no_price() -> None:
    assert told(Budget(0.0, 1.0), [1.0] * 20, decisions=0) == []


@given(st.lists(st.floats(0, 100), max_size=200), st.floats(0.1, 1e5))
def test_crossings_take_turns_and_the_past_is_bounded(spent: list[float], allowed: float) -> None:
    budget = Budget(allowed, 0.0)
    directions = [over for _, _, over in told(budget, spent)]
    assert directions == [index % 2 == 0 for index in range(len(directions))]
    assert len(budget._past) <= SPAN_MS // MIN_MS + 2


def test_prices_are_of_hours_and_kilowatt_hours() -> None:
    prices = Prices(cpu_hour=0.04, gpu_hour=2.0, kwh=0.3, currency="EUR")
    assert round(prices.of(Usage(3600 * 100, 1800, 3_600_000)), 9) == 4.0 + 1.0 + 0.3
    assert not Prices(0.0, 0.0, 0.0, "EUR").known
