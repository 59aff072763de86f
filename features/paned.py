"""A paned entity's state: a key table and an arena of blocks of one size, a block a key."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.arena import WORD_BYTES
from features.block_state import BlockState
from features.catalog import Aggregate, Catalog
from features.columns import Columns
from features.entity import OPS, lateness_ms
from features.entity_kernel import DISORDERED, DONE, LATE
from features.expression import column_scales
from features.keys import TABLE_BYTES_A_KEY
from features.memory_bound import MemoryBound
from features.paned_kernel import (
    COLUMN,
    FIELD,
    FIRST_BACK,
    LAST_BACK,
    OP,
    TOTALS,
    WORD,
    Ring,
    apply_paned_events,
)
from features.panes import pane_width_ms, panes_back, ring_panes

_NO_OUT = np.empty((0, 0))
_EXTREMES = (Aggregate.MIN, Aggregate.MAX)


@dataclass(frozen=True)
class PanedPlan:
    """A paned entity's declaration as the tables that its kernel reads."""

    name: str
    shared: bool
    keys_expected: int
    key_column: int
    time_column: int
    lateness_ms: int
    ring: Ring
    sums: NDArray[np.int64]
    extremes: NDArray[np.int64]
    windows: NDArray[np.int64]
    scales: NDArray[np.float64]

    @property
    def ring_bytes_a_key(self) -> int:
        """What a key's panes and totals take, however many events it has."""
        return self.ring.block_words * WORD_BYTES

    @property
    def bytes_a_key(self) -> int:
        """What a key takes in all while its table is full: up to twice TABLE_BYTES_A_KEY where that has just grown.

        The bytes of a string key come on top.
        """
        return self.ring_bytes_a_key + TABLE_BYTES_A_KEY


def plan_paned(name: str, catalog: Catalog) -> PanedPlan:
    """Tables for one paned entity of a checked catalog."""
    spec, schema = catalog.entities[name], catalog.decided.schema_
    features = catalog.windows_over(name)
    lengths = [(window.span or 0, window.delay) for window in features.values()]
    width_ms = pane_width_ms(f"entities.{name}.panes", spec.panes or 0, lengths)
    shared = spec.key != catalog.decided.key
    late_ms = lateness_ms(spec, features, shared)
    columns, units = {feature: number for number, feature in enumerate(catalog.features)}, column_scales(schema)
    asked = [(f.aggregate, schema.index(f.field)) for f in features.values() if f.field is not None]
    sums = sorted({field for aggregate, field in asked if aggregate not in _EXTREMES})
    extremes = sorted({(OPS[aggregate], field) for aggregate, field in asked if aggregate in _EXTREMES})
    table = np.zeros((len(features), FIELD + 1), np.int64)
    for number, (feature, window) in enumerate(features.items()):
        assert window.aggregate is not None
        field = schema.index(window.field) if window.field is not None else 0
        table[number, OP] = OPS[window.aggregate]
        if window.aggregate in _EXTREMES:
            table[number, WORD] = 1 + len(sums) + extremes.index((OPS[window.aggregate], field))
        elif window.field is not None:
            table[number, WORD] = 1 + sums.index(field)
        table[number, FIRST_BACK], table[number, LAST_BACK] = panes_back(width_ms, *lengths[number])
        table[number, COLUMN], table[number, FIELD] = columns[feature], field
    ring = _ring(width_ms, ring_panes(width_ms, lengths, late_ms), len(sums), len(extremes))
    return PanedPlan(
        name=name,
        shared=shared,
        keys_expected=spec.keys_expected,
        key_column=schema.index(spec.key),
        time_column=schema.index(catalog.decided.event_time),
        lateness_ms=late_ms,
        ring=ring,
        sums=np.array(sums, np.int64),
        extremes=np.array([(*e, units[e[1]] == 0.0) for e in extremes], np.int64).reshape(-1, 3),
        windows=table,
        scales=units[table[:, FIELD]],
    )


def _ring(width_ms: int, panes: int, fields: int, extremes: int) -> Ring:
    sums = 1 + fields
    pane_words, first_word = sums + extremes, TOTALS + sums
    return Ring(width_ms, panes, sums, pane_words, first_word, first_word + panes * pane_words)


class PanedState(BlockState):
    """The panes of one entity: of one partition's keys, or of all when the entity is fed by several."""

    def __init__(self, plan: PanedPlan, bound: MemoryBound) -> None:
        super().__init__(plan.name, plan.key_column, plan.keys_expected, plan.ring, bound)
        self.plan = plan

    def apply(
        self,
        columns: Columns,
        rows: NDArray[np.int32],
        _partition: NDArray[np.int32],
        _offset: NDArray[np.int64],
        out: NDArray[np.float64] | None,
        *,
        update: bool,
    ) -> tuple[int, int]:
        """Take events in and write their windows; returns how many came late and how many disordered.

        Neither partition nor offset matters: panes do not order what is in them. Raises StateFullError when the
        memory bound is reached.
        """
        plan, first = self.plan, 0
        self._counts[:] = 0
        while first != DONE:
            known = (plan.key_column, plan.time_column, plan.lateness_ms, update, plan.shared, first)
            addresses = (self._arena.address, self._arena.meta_address)
            apply_paned_events(
                columns.value,
                columns.length,
                rows,
                np.array([*known, *addresses, *plan.ring], np.int64),
                self._keys.table,
                self._keys.keys,
                self._keys.lengths,
                self._keys.text,
                self._keys.meta,
                plan.sums,
                plan.extremes,
                plan.windows,
                plan.scales,
                _NO_OUT if out is None else out,
                self._counts,
            )
            first = self._grown(self._arena)
        return int(self._counts[LATE]), int(self._counts[DISORDERED])
