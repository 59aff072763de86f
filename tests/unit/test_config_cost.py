"""`[cost]` and `[reuse]` of feature rows: what may be got wrong is told: what was found, what was expected."""

import pytest

from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError

FREE = ("cost.cpu_hour=0",)


def fraud(*assignments: str) -> PipelineConfig:
    return load("fraud", environ={}, assignments=assignments).config


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (
            ("cost.tenant=terminal",),
            "cost.tenant: 'terminal' is no field of the input, did you mean \"terminal_id\"?",
        ),
        (("cost.tenant=amount",), "cost.tenant: amount is a decimal, expected one of int, bool, string, id"),
        (("cost.detected=['fraud']",), "cost.detected: 'fraud' is none of the labels approve, review, decline"),
        ((*FREE, "cost.budget_a_day=5"), "cost: a budget needs prices to be held to, expected cpu_hour"),
        (("cost.cpu_hour=-1",), "cpu_hour: found -1"),
        (("cost.kwh=inf",), "kwh: found inf"),
        (("cost.currency=euro",), "currency: found 'euro'"),
        (("cost.tenants_max=0",), "tenants_max: found 0"),
        (("cost.cpu_hours=1",), 'cpu_hours: unknown key, did you mean "cpu_hour"?'),
        (("reuse.near_bits=2", "reuse.near_report=r.json"), "reuse.near_bits: only images look alike"),
    ],
)
def test_what_does_not_fit_together_is_told(assignments: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fraud(*assignments)
    assert told in str(caught.value)


def test_what_fits() -> None:
    cost = fraud("cost.tenant=customer_id", "cost.budget_a_day=5", "cost.cpu_hour=1", "reuse.exact_rows=1000").cost
    assert (cost.tenant, cost.budget_a_day, cost.cpu_hour, cost.currency) == ("customer_id", 5, 1, "EUR")
    assert load("vision", environ={}).config.cost.tenant == "camera_id"
