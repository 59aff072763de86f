"""One entity's state: its tables, how they grow, and the calls into the kernel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.aggregates import COLUMN, FIELD, FROM_AGE, HALF_LIFE, OP, TO_AGE
from features.arena import Arena
from features.catalog import Aggregate, Catalog, EntitySpec, FeatureSpec
from features.columns import Columns
from features.entity_kernel import (
    DISORDERED,
    DONE,
    LATE,
    OUT_OF_MEMORY,
    RECORD_WORDS_MIN,
    STOPPED_AT,
    apply_events,
    apply_labels,
)
from features.expression import column_scales
from features.keyed_state import KeyedState, Piece
from features.memory_bound import MemoryBound
from features.piece_kernel import LABELS_FULL, any_touched, read_entries, write_entries
from features.schema import FieldType

OPS = {aggregate: number for number, aggregate in enumerate(Aggregate)}
_ORDER_FREE = {
    Aggregate.COUNT,
    Aggregate.RISK,
    Aggregate.MIN,
    Aggregate.MAX,
    Aggregate.TIME_SINCE_LAST,
    Aggregate.BEHIND,
}
_NO_OUT = np.empty((0, 0))


@dataclass(frozen=True)
class EntityPlan:
    """An entity's declaration as the tables that its kernel reads."""

    name: str
    shared: bool
    keys_expected: int
    key_column: int
    time_column: int
    lateness_ms: int
    keep_ms: int
    ordered: bool
    ages_ms: NDArray[np.int64]
    field_columns: NDArray[np.int64]
    exact: NDArray[np.bool_]
    scales: NDArray[np.float64]
    windows: NDArray[np.int64]
    label_input: str | None
    label_plan: tuple[int, int, int, int]
    label_delay_ms: int

    @property
    def pointers(self) -> int:
        """The word of a key's record where its remembered edges begin."""
        return RECORD_WORDS_MIN + len(self.exact)

    @property
    def record_words(self) -> int:
        """The words of a key's record."""
        return self.pointers + len(self.ages_ms)

    @property
    def entry_words(self) -> int:
        """The words of one entry."""
        return 1 + len(self.exact) + (1 if self.ordered else 0)


def lateness_ms(spec: EntitySpec, windows: dict[str, FeatureSpec], shared: bool) -> int:
    """How much older than its entity's newest an event may be and still be answered in full.

    Several partitions may be apart by the shortest delay: no window has asked for such an event yet.
    """
    if not shared:
        return spec.lateness
    return max(spec.lateness, min((window.delay for window in windows.values()), default=0))


def plan_entity(name: str, catalog: Catalog) -> EntityPlan:
    """Tables for one entity of a checked catalog."""
    spec, schema = catalog.entities[name], catalog.decided.schema_
    columns = {feature: number for number, feature in enumerate(catalog.features)}
    windows = catalog.windows_over(name)
    shared = spec.key != catalog.decided.key
    fields = sorted({schema.index(f.field) for f in windows.values() if f.field is not None})
    types = [schema.fields[schema.names[field]].code for field in fields]
    exact = np.array([kind != FieldType.FLOAT for kind in types], np.bool_)
    ages = sorted({0} | {f.delay for f in windows.values()} | {f.delay + (f.span or 0) for f in windows.values()})
    table = np.zeros((len(windows), HALF_LIFE + 1), np.int64)
    scans = False
    for number, (feature, spec_) in enumerate(windows.items()):
        assert spec_.aggregate is not None
        table[number, OP] = OPS[spec_.aggregate]
        field = fields.index(schema.index(spec_.field)) if spec_.field is not None else 0
        table[number, FIELD] = field
        table[number, FROM_AGE] = ages.index(spec_.delay + (spec_.span or 0))
        table[number, TO_AGE] = ages.index(spec_.delay)
        table[number, COLUMN] = columns[feature]
        table[number, HALF_LIFE] = spec_.half_life or 1
        summed = spec_.aggregate in (Aggregate.SUM, Aggregate.MEAN) and exact[field]
        scans = scans or not (spec_.aggregate in _ORDER_FREE or summed)
    late_ms = lateness_ms(spec, windows, shared)
    label_plan = (0, 0, 0, 0)
    if spec.labels is not None:
        source = catalog.inputs[spec.labels.input]
        names = (spec.key, source.event_time, source.id, spec.labels.field)
        label_plan = tuple(source.schema_.index(n) for n in names)  # type: ignore[assignment]
    return EntityPlan(
        name=name,
        shared=shared,
        keys_expected=spec.keys_expected,
        key_column=schema.index(spec.key),
        time_column=schema.index(catalog.decided.event_time),
        lateness_ms=late_ms,
        keep_ms=max(ages) + late_ms,
        ordered=shared and scans,
        ages_ms=np.array(ages, np.int64),
        field_columns=np.array(fields, np.int64),
        exact=exact,
        scales=np.maximum(column_scales(schema)[fields], 1.0),
        windows=table,
        label_input=spec.labels.input if spec.labels else None,
        label_plan=label_plan,
        label_delay_ms=min((f.delay for f in windows.values() if f.aggregate == Aggregate.RISK), default=0),
    )


class EntityState(KeyedState):
    """The windows of one entity: of one partition's keys, or of all when the entity is fed by several.

    Grows in the call, never in an event's kernel; all memory is taken from `bound`. Raises StateFullError when that
    has no room for the first tables.
    """

    def __init__(self, plan: EntityPlan, bound: MemoryBound) -> None:
        super().__init__(plan.name, plan.key_column, plan.keys_expected, plan.record_words, bound)
        self.plan = plan
        self._labels = Arena(self._holding, None if plan.label_input else 0)
        self._entry = np.zeros(max(1, len(plan.exact)), np.int64)

    def used_bytes(self) -> int:
        """Memory in use: segments, labels, key records and the key table."""
        return super().used_bytes() + self._labels.used_bytes

    def apply(
        self,
        columns: Columns,
        rows: NDArray[np.int32],
        partition: NDArray[np.int32],
        offset: NDArray[np.int64],
        out: NDArray[np.float64] | None,
        *,
        update: bool,
    ) -> tuple[int, int]:
        """Take events in and write their windows; returns how many came late and how many disordered.

        Raises StateFullError when the memory bound is reached.
        """
        plan, first = self.plan, 0
        self._counts[:] = 0
        while True:
            calls = np.array(
                [
                    plan.key_column,
                    plan.time_column,
                    plan.lateness_ms,
                    plan.keep_ms,
                    update,
                    plan.shared,
                    plan.ordered,
                    plan.pointers,
                    first,
                    self._arena.address,
                    self._arena.meta_address,
                    self._labels.address,
                ],
                np.int64,
            )
            apply_events(
                columns.value,
                columns.length,
                rows,
                partition,
                offset,
                calls,
                plan.ages_ms,
                self._keys.table,
                self._keys.keys,
                self._keys.lengths,
                self._keys.text,
                self._keys.meta,
                self._records,
                plan.field_columns,
                plan.exact,
                self._entry,
                plan.scales,
                plan.windows,
                _NO_OUT if out is None else out,
                self._counts,
            )
            first = self._grown(self._arena)
            if first == DONE:
                return int(self._counts[LATE]), int(self._counts[DISORDERED])

    def apply_labels(self, columns: Columns, rows: NDArray[np.int32]) -> int:
        """Take labels in; returns how many came after a window had already asked for them.

        Raises StateFullError when the memory bound is reached.
        """
        first = 0
        self._counts[:] = 0
        while first != DONE:
            plan = (*self.plan.label_plan, self.plan.label_delay_ms, self.plan.keep_ms, first)
            apply_labels(
                columns.value,
                columns.length,
                rows,
                np.array(plan, np.int64),
                self._labels.address,
                self._labels.meta_address,
                self._keys.table,
                self._keys.keys,
                self._keys.lengths,
                self._keys.text,
                self._keys.meta,
                self._records,
                self._counts,
            )
            first = self._grown(self._labels)
        return int(self._counts[DISORDERED])

    def changed(self, first: int, stop: int) -> bool:
        """Whether any of the keys [first, stop) has changed since `write_piece` wrote it."""
        return bool(any_touched(self._records, first, stop))

    def write_piece(self, first: int, stop: int, words: NDArray[np.int64], text: NDArray[np.uint8]) -> Piece:
        """Write the keys from `first` into the caller's buffers, as many of [first, stop) as have room.

        Of no keys: the first alone needs buffers of the sizes returned.
        """
        plan, used = self.plan, np.zeros(2, np.int64)
        sizes = np.array([plan.entry_words, len(plan.exact), plan.keep_ms], np.int64)
        arenas = (self._arena.address, self._labels.address)
        table = (self._keys.keys, self._keys.lengths, self._keys.text)
        keys = write_entries(first, stop, self._records, *arenas, *table, sizes, words, text, used)
        return Piece(first, int(keys), int(used[0]), int(used[1]))

    def read_piece(self, words: NDArray[np.int64], text: NDArray[np.uint8], keys: int) -> None:
        """Put a piece's keys, new ones, behind those there are. Raises StateFullError when the bound is reached."""
        plan, cursor = self.plan, np.zeros(3, np.int64)
        sizes = np.array([plan.entry_words, len(plan.exact)], np.int64)
        while True:
            labels = (self._labels.address, self._labels.meta_address)
            arenas = np.array([self._arena.address, self._arena.meta_address, *labels], np.int64)
            table = (self._keys.table, self._keys.keys, self._keys.lengths, self._keys.text, self._keys.meta)
            read_entries(words, text, keys, sizes, arenas, *table, self._records, cursor, self._counts)
            labels_full = self._counts[STOPPED_AT] != DONE and self._counts[OUT_OF_MEMORY] == LABELS_FULL
            if self._grown(self._labels if labels_full else self._arena) == DONE:
                return
