"""Routes: which rows take which, by fields, by lists of values and by features; first match wins."""

from collections.abc import Callable

import numpy as np
import pytest

from features.columns import Columns
from features.schema import NULL, NUMBER
from pipeline.clock import NS_PER_MS
from pipeline.config.cascade_section import RouteSection
from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.router import Router
from pipeline.rows import Rows

CATALOG = load("fraud", environ={}).config.catalog
SCHEMA, FEATURES = CATALOG.decided.schema_, list(CATALOG.features)
BUDGET_MS = 100
AMOUNTS = [5.0, 19.99, 20.0, 50.0, 400.0]


def sent(*routes: RouteSection, amounts=AMOUNTS, customers=None, features=None) -> tuple[list[int], Router, Rows]:
    n = len(amounts)
    rows, columns = Rows(n + 3, len(FEATURES)), Columns(SCHEMA, n + 3)
    slots = np.arange(3, n + 3, dtype=np.int32)[::-1].copy()
    columns.value[SCHEMA.index("amount"), slots] = [round(amount * 100) for amount in amounts]
    columns.length[SCHEMA.index("amount"), slots] = NUMBER
    at, kept = SCHEMA.index("customer_id"), []
    for slot, customer in zip(slots.tolist(), customers or [None] * n, strict=True):
        if isinstance(customer, str):
            kept.append(np.frombuffer(customer.encode(), np.uint8))
            columns.value[at, slot], columns.length[at, slot] = kept[-1].ctypes.data, len(kept[-1])
        else:
            columns.value[at, slot] = customer or 0
            columns.length[at, slot] = NULL if customer is None else NUMBER
    for name, values in (features or {}).items():
        rows.features64[slots, FEATURES.index(name)] = values
    router = Router(routes, CATALOG, rows, columns, BUDGET_MS)
    rows.route[:] = 9
    router.by_fields(slots)
    router.by_features(slots)
    assert (rows.route[:3] == 9).all()
    return rows.route[slots].tolist(), router, rows


def small(name: str = "small", when: str = "amount < 20", **more: object) -> RouteSection:
    return RouteSection(name=name, when=when, tiers=("lite",), **more)  # type: ignore[arg-type]


def test_the_first_route_that_holds_is_taken() -> None:
    route, router, _ = sent(small(), small("middle", "amount < 100"))
    assert route == [1, 1, 2, 2, 0]
    assert router.counts() == {"routed/small": 2, "routed/middle": 2}


def test_a_list_of_numbers_and_strings() -> None:
    listed = RouteSection(name="vip", field="customer_id", values=(42, "c-7", "", 7), tiers=("lite",))
    customers = [42, "c-7", "c-70", 43, 7, "42", "", None]
    route, _, _ = sent(listed, amounts=[1.0] * 8, customers=customers)
    assert route == [1, 1, 0, 0, 1, 0, 1, 0]


def test_long_lists_are_looked_up_whole() -> None:
    names = tuple(f"customer-{number}-{'x' * 40}" for number in range(0, 5_000, 2))
    listed = RouteSection(name="many", field="customer_id", values=names, tiers=("lite",))
    customers = [f"customer-{number}-{'x' * 40}" for number in range(0, 4_000, 333)]
    route, _, _ = sent(listed, amounts=[1.0] * len(customers), customers=customers)
    assert route == [number % 2 == 0 for number in range(0, 4_000, 333)]


def test_features_are_looked_at_when_they_are_there_and_after_what_holds_of_fields() -> None:
    risky = small("risky", "terminal_risk_7d > 0.5 and amount > 10")
    route, _, _ = sent(
        small("tiny", "amount < 10"), risky, small("rest", "amount < 100"),
        features={"terminal_risk_7d": [0.9, 0.9, 0.1, 0.1, 0.6]},
    )  # fmt: skip
    assert route == [1, 2, 3, 3, 2]


def test_budgets_move_deadlines_of_their_rows_alone() -> None:
    _, _, rows = sent(small(budget_ms=30), small("large", "amount > 100", budget_ms=500))
    assert (rows.deadline_ns[3:][::-1] // NS_PER_MS).tolist() == [-70, -70, 0, 0, 400]


ROUTE = '\n[[routes]]\nname = "small"\n'


@pytest.fixture
def configured(tmp_path) -> Callable[[str], object]:  # type: ignore[no-untyped-def]
    text = (load("fraud", environ={}).source).read_text()

    def made(more: str) -> object:
        path = tmp_path / "mine.toml"
        path.write_text(text + more)
        return load(str(path), environ={}).config

    return made


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('when = "amount < 20"', "expected tiers, budget_ms or both"),
        ('tiers = ["lite"]', "expected either when, or field with values"),
        ('when = "amount < 20"\nfield = "amount"\nvalues = [1]\ntiers = ["lite"]', "expected either when, or field"),
        ('field = "customer_id"\ntiers = ["lite"]', "expected either when, or field with values"),
        ('when = "amout < 20"\ntiers = ["lite"]', "when: no field or feature 'amout', did you mean \"amount\"?"),
        ('when = "amount <"\ntiers = ["lite"]', "'amount <' is not an expression"),
        ('when = "customer_id == 3"\ntiers = ["lite"]', "customer_id is no number, expected field = 'customer_id'"),
        ('when = "amount < 20"\ntiers = ["light"]', "tiers: no tier 'light', did you mean \"lite\"?"),
        ('when = "amount < 20"\ntiers = ["lite", "primary"]', "expected the order of [[tiers]]"),
        ('when = "amount < 20"\ntiers = ["lite", "lite"]', "lite, lite has a name twice"),
        ('when = "amount < 20"\ntiers = ["rule"]', "rule is a rule, expected a model first"),
        ('when = "amount < 20"\nbudget_ms = 20000', "budget_ms 20000 is above budget_ms_max 10000"),
        ('field = "customr_id"\nvalues = [1]\ntiers = ["lite"]', "did you mean \"customer_id\"?"),
        ('field = "amount"\nvalues = [1]\ntiers = ["lite"]', "amount has type 'decimal', expected id, string, int"),
        ('when = "terminal_risk_1d > 0"\nbudget_ms = 50', "expected budgets on routes before it"),
        ('when = "1 < 2"\ntiers = ["lite"]\n[[routes]]\nname = "small"\nwhen = "amount < 9"\nbudget_ms = 9',
         "small is named twice"),
    ],
)  # fmt: skip
def test_what_a_route_lacks_is_said_with_its_name(configured: Callable[[str], object], more: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(f"{ROUTE}{more}\n")
    assert says in str(caught.value)
    assert "small" in str(caught.value)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('first = "light"', "cascade.first: no tier 'light', did you mean \"lite\"?"),
        ('first = "primary"', "cascade.first: primary is the best tier, expected a model below the best"),
        ('first = "rule"', "cascade.first: rule is a rule, expected a model below the best"),
        ('first = "lite"\nsure_min = 0.9', "sure_min: found it, expected none"),
        ('first = "lite"\nsure_min = 0.9\nsure_above = 0.4', "sure_min: found beside sure_below or sure_above"),
        ("sure_below = 0.1", "first: missing beside sure_below"),
        ('first = "lite"\nsure_below = 0.5\nsure_above = 0.4', "sure_below 0.5 is above sure_above 0.4"),
        ('first = "lite"\nrecalibrate = true', "recalibrate: expected a report"),
        ('first = "lite"\nreport = "r"\nrecalibrate = true\nsure_below = 0.1\nsure_below_range = [0.2, 0.3]',
         "sure_below_range: found [0.2, 0.3], expected two numbers with 0.1 between them"),
    ],
)  # fmt: skip
def test_what_a_cascade_lacks_is_said(configured: Callable[[str], object], more: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(f"\n[cascade]\n{more}\n")
    assert says in str(caught.value)
