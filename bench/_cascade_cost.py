"""What a cascade of two models costs a row against the dear one alone, the models by themselves."""

import time
from collections.abc import Iterator

import numpy as np

from models.cascade import Thresholds
from models.optimise.measure import Floats, Runnable

ROUNDS = 15
TURN_ROWS = 8192
KINDS = ("alone", "cascade", "gathered")


def cpu_us(first: Runnable, second: Runnable, rows: Floats, thresholds: Thresholds, batch: int) -> dict[str, float]:
    """Process CPU a row, us, in turns, and its ratios to the dear one alone.

    `cascade`: rows passed on are scored at once, however few they are; `gathered`: they wait until they fill a batch.
    """
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(ROUNDS + 1):
        start = turn * TURN_ROWS % (len(rows) - TURN_ROWS)
        for kind in KINDS[turn % 3 :] + KINDS[: turn % 3]:
            began = time.process_time_ns()
            for part in _second_rows(kind, first, rows[start : start + TURN_ROWS], thresholds, batch):
                second.run(part)
            if turn:
                took[kind].append((time.process_time_ns() - began) / TURN_ROWS / 1e3)
    alone = np.array(took["alone"])
    ratios = {f"{kind}_ratio": float(np.median(np.array(took[kind]) / alone)) for kind in KINDS[1:]}
    return {**{kind: float(np.median(turns)) for kind, turns in took.items()}, **ratios}


def _second_rows(kind: str, first: Runnable, rows: Floats, thresholds: Thresholds, batch: int) -> Iterator[Floats]:
    """Batches for the dear model, the first model having scored all where there is one."""
    waiting: list[Floats] = []
    for at in range(0, len(rows), batch):
        part = rows[at : at + batch]
        if kind != "alone":
            part = part[thresholds.unsure(first.run(part).reshape(-1))]
        waiting.append(part)
        count = sum(map(len, waiting))
        if count and (kind != "gathered" or count >= batch or at + batch >= len(rows)):
            yield np.concatenate(waiting)
            waiting = []
