"""Whether what is spent stays inside what may be: by the last hour, at the rate of a day and by decision. Pure."""

from collections import deque
from dataclasses import dataclass

from pipeline.bill.prices import a_million

SPAN_MS = 3_600_000
SPAN_MS_MIN = 300_000
"""Before so much is known nothing is said: the start alone would be dear."""
STEP_MS = 10_000
BACK = 0.9
"""A budget that was crossed counts as kept again below this part of it, so that one crossing is told once."""
MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Crossing:
    """A budget was crossed (`over`), or is kept again."""

    budget: str
    over: bool
    spent: float
    allowed: float


class Budget:
    """A watch over one process's money; `a_day` and `per_million` are what it may cost, 0 is no budget."""

    def __init__(self, a_day: float, per_million: float) -> None:
        self._allowed = {"a_day": a_day, "per_million": per_million}
        self._past: deque[tuple[int, float, int]] = deque()
        self._over: set[str] = set()
        self._spent: dict[str, float] = {}

    @property
    def spent(self) -> dict[str, float]:
        """By budget that there is and can be told of: a day at the last hour's rate, a million at its cost."""
        return dict(self._spent)

    @property
    def allowed(self) -> dict[str, float]:
        """The budgets that there are."""
        return {name: allowed for name, allowed in self._allowed.items() if allowed > 0}

    def observe(self, now_ms: int, money: float, decisions: int) -> list[Crossing]:
        """Totals so far, at this time; returns what has changed."""
        past = self._past
        if not past or now_ms - past[-1][0] >= STEP_MS:
            past.append((now_ms, money, decisions))
        while len(past) > 1 and now_ms - past[1][0] >= SPAN_MS:
            past.popleft()
        since_ms, before, decided = past[0]
        if now_ms - since_ms < SPAN_MS_MIN:
            return []
        spent, count = money - before, decisions - decided
        told = {"a_day": spent * MS_PER_DAY / (now_ms - since_ms), "per_million": a_million(spent, count)}
        self._spent = {name: value for name in self.allowed if (value := told[name]) is not None}
        return [crossing for name, value in self._spent.items() for crossing in self._crossed(name, value)]

    def _crossed(self, name: str, spent: float) -> list[Crossing]:
        allowed, over = self._allowed[name], name in self._over
        if not over and spent > allowed:
            self._over.add(name)
        elif over and spent < allowed * BACK:
            self._over.discard(name)
        else:
            return []
        return [Crossing(name, not over, spent, allowed)]
