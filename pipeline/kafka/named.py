"""Partitions as a line of the log names them."""

from collections.abc import Iterable
from typing import Any


def listed(partitions: Iterable[Any]) -> str:
    """`transactions[0-3,7], labels[0]`: by topic, neighbours drawn together; `nothing` where there are none."""
    by_topic: dict[str, list[int]] = {}
    for topic, number in sorted(partitions):
        by_topic.setdefault(topic, []).append(number)
    return ", ".join(f"{topic}[{_ranges(numbers)}]" for topic, numbers in by_topic.items()) or "nothing"


def _ranges(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
