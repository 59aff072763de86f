"""A cluster that is gone is told once, then once a minute, and told again when it is back."""

from pipeline.kafka.outage import NS_PER_S, Outage

ADDRESS = "kafka-1:9092"


def told(outage: Outage, *steps: tuple[float, str]) -> list[str]:
    """What is said at the steps, each an instant in s and what happened then."""
    said = []
    for at_s, what in steps:
        at_ns = int(at_s * NS_PER_S)
        said.append(outage.reached(at_ns) if what == "up" else outage.failed(what, at_ns))
    return [text for text in said if text is not None]


def test_one_line_when_it_goes_one_a_minute_and_one_when_it_is_back() -> None:
    attempts = [(100 + number / 20, "refused") for number in range(20 * 125)]
    assert told(Outage(ADDRESS), (0, "up"), *attempts, (225, "up"), (226, "up")) == [
        f"no connection to {ADDRESS}: refused",
        f"no connection to {ADDRESS} for 60 s, 1201 attempts: refused",
        f"no connection to {ADDRESS} for 120 s, 2401 attempts: refused",
        f"{ADDRESS} answers again, after 125 s",
    ]


def test_the_next_outage_is_told_anew() -> None:
    lines = told(Outage(ADDRESS), (5, "refused"), (9, "up"), (65, "reset"), (66, "reset"), (67, "up"))
    assert lines == [
        f"no connection to {ADDRESS}: refused",
        f"{ADDRESS} answers again, after 4 s",
        f"no connection to {ADDRESS}: reset",
        f"{ADDRESS} answers again, after 2 s",
    ]


def test_one_broker_of_several_that_is_gone_does_not_fill_the_log() -> None:
    steps = [(number / 10 + offset, what) for number in range(600) for offset, what in ((0, "reset"), (0.05, "up"))]
    assert told(Outage(ADDRESS), *steps) == [
        f"no connection to {ADDRESS}: reset",
        f"{ADDRESS} answers again, after 0 s",
    ]
