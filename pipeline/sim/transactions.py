"""Card transactions with planted fraud, day by day, the same for the same seed.

After the simulator of the Fraud Detection Handbook (Le Borgne et al., 2022): customers spend around their own mean
at terminals near them; some terminals and some customers are compromised for a time. Nothing of its data is here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MS_PER_DAY = 86_400_000
REPORT_DELAY_MS = 7 * MS_PER_DAY
AREA = 100.0
LARGE_AMOUNT_CENTS = 22_000
TERMINAL_DAYS, CUSTOMER_DAYS = 28, 14
CUSTOMER_FACTOR = 5
AMOUNT_CENTS_MAX = 1_000_000
_PEAKS = ((12.5, 2.5, 0.55), (19.0, 2.0, 0.35), (3.0, 3.0, 0.10))  # hour, spread in hours, share


@dataclass(frozen=True)
class Population:
    """Who spends where: sizes, and the seed of everything drawn."""

    customers: int = 5_000
    terminals: int = 10_000
    terminals_near: int = 40
    per_day_max: float = 4.0
    seed: int = 1


@dataclass(frozen=True)
class Day:
    """One day of transactions in time order, one array a column; amounts are in cents."""

    transaction_id: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    customer_id: NDArray[np.int64]
    terminal_id: NDArray[np.int64]
    amount_cents: NDArray[np.int64]
    scenario: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.transaction_id)

    @property
    def fraud(self) -> NDArray[np.bool_]:
        """Which ones are fraud, known `REPORT_DELAY_MS` later."""
        return self.scenario > 0


def _neighbours(population: Population, random: np.random.Generator) -> NDArray[np.int32]:
    """int32[customers, terminals_near]: the terminals nearest to each customer."""
    homes = random.uniform(0, AREA, (population.customers, 2)).astype(np.float32)
    places = random.uniform(0, AREA, (population.terminals, 2)).astype(np.float32)
    near = min(population.terminals_near, population.terminals)
    found = np.empty((population.customers, near), np.int32)
    for first in range(0, population.customers, 512):
        block = homes[first : first + 512]
        distance = ((block[:, None, :] - places[None, :, :]) ** 2).sum(axis=2)
        found[first : first + 512] = np.argpartition(distance, near - 1, axis=1)[:, :near]
    return found


def _seconds(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Times of day in seconds: lunch, evening, a few at night."""
    which = random.choice(len(_PEAKS), count, p=[share for _, _, share in _PEAKS])
    hours = np.array([hour for hour, _, _ in _PEAKS])[which]
    spread = np.array([width for _, width, _ in _PEAKS])[which]
    seconds: NDArray[np.float64] = (hours + random.normal(0.0, 1.0, count) * spread) % 24.0 * 3600.0
    return seconds


class TransactionSource:
    """An endless stream of days from `start_ms` on."""

    def __init__(self, population: Population, start_ms: int) -> None:
        self._population = population
        self._start_ms = start_ms
        random = np.random.default_rng([population.seed, 0])
        n = population.customers
        self._mean_cents = random.uniform(500, 10_000, n)
        self._per_day = random.uniform(0.2, population.per_day_max, n)
        self._near = _neighbours(population, random)

    def days(self, first_id: int = 0) -> Iterator[Day]:
        """The days one after another; ids count up from `first_id`."""
        next_id, number = first_id, 0
        while True:
            day = self._day(number, next_id)
            next_id += len(day)
            number += 1
            yield day

    def _compromised(self, number: int, days: int, many: int, stream: int, per_day: int) -> NDArray[np.int64]:
        """Who was hit on one of the last `days` days."""
        hit = [
            np.random.default_rng([self._population.seed, stream, day]).integers(0, many, per_day)
            for day in range(max(0, number - days + 1), number + 1)
        ]
        return np.unique(np.concatenate(hit))

    def _day(self, number: int, first_id: int) -> Day:
        population = self._population
        random = np.random.default_rng([population.seed, 1, number])
        customer = np.repeat(np.arange(population.customers), random.poisson(self._per_day))
        count = len(customer)
        order = np.argsort(seconds := _seconds(random, count), kind="stable")
        customer, seconds = customer[order], seconds[order]
        terminal = self._near[customer, random.integers(0, self._near.shape[1], count)].astype(np.int64)
        mean = self._mean_cents[customer]
        cents = random.normal(mean, mean / 2)
        cents = np.where(cents <= 0, random.uniform(0, 2 * mean), cents)
        scenario = np.zeros(count, np.int8)
        customers_hit = self._compromised(
            number, CUSTOMER_DAYS, population.customers, 2, max(1, population.customers // 1_700)
        )
        stolen = np.isin(customer, customers_hit) & (random.random(count) < 1 / 3)
        cents = np.where(stolen, cents * CUSTOMER_FACTOR, cents)
        terminals_hit = self._compromised(
            number, TERMINAL_DAYS, population.terminals, 3, max(1, population.terminals // 5_000)
        )
        amount = np.clip(np.rint(cents), 1, AMOUNT_CENTS_MAX).astype(np.int64)
        scenario[amount > LARGE_AMOUNT_CENTS] = 1
        scenario[np.isin(terminal, terminals_hit)] = 2
        scenario[stolen] = 3
        return Day(
            np.arange(first_id, first_id + count, dtype=np.int64),
            self._start_ms + number * MS_PER_DAY + (seconds * 1000).astype(np.int64),
            customer.astype(np.int64),
            terminal,
            amount,
            scenario,
        )
