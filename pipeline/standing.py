"""Answers that are what was asked for, though they come from a lower tier: the same who, in another standing."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.servings import Servings

_UNKNOWN = -1


class Standing:
    """For each serving another one: of the same model version, `scored`, in tier `tier`, which is called `name`.

    They are added to `servings` as they are asked for, so versions that come while the process runs have one too.
    """

    def __init__(self, servings: Servings, tier: int, name: str) -> None:
        self._servings = servings
        self._tier = tier
        self._name = name
        self._numbers: NDArray[np.int32] = np.zeros(0, np.int32)

    def of(self, serving: NDArray[np.int32]) -> NDArray[np.int32]:
        """The numbers of the other ones, for numbers of `servings`, none of them EXPIRED."""
        if len(self._numbers) <= len(self._servings):
            more = len(self._servings) + 1 - len(self._numbers)
            self._numbers = np.append(self._numbers, np.full(more, _UNKNOWN, np.int32))
        numbers = self._numbers[serving]
        if (numbers == _UNKNOWN).any():
            for number in np.unique(serving[numbers == _UNKNOWN]).tolist():
                self._numbers[number] = self._added(number)
            numbers = self._numbers[serving]
        return numbers

    def _added(self, number: int) -> int:
        who = self._servings.of(number)
        label = who.label._replace(tier=self._name)
        return self._servings.add(replace(who, label=label, tier=self._tier, degraded=False))
