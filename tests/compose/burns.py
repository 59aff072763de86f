"""When a page was due, worked out from the decisions themselves: the windows counted anew at each of them."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from confluent_kafka import Message

EVENTS_MIN, BAD_MIN = 100, 30
Answer = tuple[int, bool]
"""When a decision was published, and whether it came later than it had to."""


def decided_late(decisions: Sequence[Message], pipeline: str, budget_ms: int) -> list[Answer]:
    """The answers of a pipeline, in the order of their time."""
    answers = []
    for record in decisions:
        decision = json.loads(record.value())
        if decision["pipeline"] == pipeline:
            answers.append((record.timestamp()[1], decision["age_us"] > budget_ms * 1000))
    return sorted(answers)


def first_exceeded_ms(answers: Sequence[Answer], pairs: Sequence[tuple[float, int, int]], budget: float) -> int:
    """When both windows of a pair first burned faster than its factor. There is such a time."""
    times = [at_ms for at_ms, _ in answers]
    bad = [0, *accumulate(late for _, late in answers)]
    for number, now_ms in enumerate(times, 1):
        for factor, *spans in pairs:
            begins = [bisect_right(times, now_ms - span_ms) for span_ms in spans]
            burns = [(bad[number] - bad[begin]) / (number - begin) / budget for begin in begins]
            enough = number - begins[0] >= EVENTS_MIN and bad[number] - bad[begins[0]] >= BAD_MIN
            if enough and min(burns) > factor:
                return now_ms
    raise AssertionError("no window ever burned that fast")
