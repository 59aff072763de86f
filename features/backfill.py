"""Features of recorded events: files through the very kernels that serve the stream.

Inputs are merged as a replay merges topics: by the time an event came to be known, then by topic; within one input
the file's order is kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.arrow import fill_columns, sized
from features.catalog import Catalog, InputSpec
from features.columns import Columns
from features.merge import merge_runs, run_bounds
from features.state import MEMORY_BYTES_MAX, FeatureSet, FeatureState

BATCH_ROWS = 16_384
_BEFORE_ALL_MS = -(2**62)


class _Source:
    """One input's file, a batch at a time."""

    def __init__(self, name: str, spec: InputSpec, batches: Iterable[pa.RecordBatch]) -> None:
        self.name = name
        self.spec = spec
        self.columns = Columns(spec.schema_, BATCH_ROWS)
        self.batch: pa.RecordBatch | None = None
        self.base_offset = 0
        self._batches = iter(sized(batches, BATCH_ROWS))
        self._time = spec.schema_.index(spec.order_time)

    def refill(self, time_ms: NDArray[np.int64]) -> int:
        """Read the next batch and its times; returns its rows, 0 at the end."""
        self.base_offset += self.batch.num_rows if self.batch is not None else 0
        self.batch = next(self._batches, None)
        if self.batch is None:
            return 0
        fill_columns(self.columns, self.batch)
        rows = int(self.batch.num_rows)
        time_ms[:rows] = self.columns.value[self._time, :rows]
        return rows


class _Merge:
    """The lanes of all sources, in the order that breaks ties."""

    def __init__(self, sources: list[_Source]) -> None:
        self.sources = sources
        count = len(sources)
        self._time_ms = np.zeros((count, BATCH_ROWS), np.int64)
        self._start = np.zeros(count, np.int64)
        self._stop = np.zeros(count, np.int64)
        self._ended = np.zeros(count, np.bool_)
        self._newest_ms = np.full(count, _BEFORE_ALL_MS, np.int64)
        self._lane = np.zeros(BATCH_ROWS, np.int32)
        self._row = np.zeros(BATCH_ROWS, np.int32)

    def drained(self) -> Iterator[int]:
        """Refill the lanes that ran out; yields each before its rows are replaced."""
        for lane, source in enumerate(self.sources):
            if self._start[lane] == self._stop[lane] and not self._ended[lane]:
                yield lane
                self._start[lane] = 0
                self._stop[lane] = source.refill(self._time_ms[lane])
                self._ended[lane] = self._stop[lane] == 0

    def runs(self) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """Rows that are next, as runs of one lane each."""
        merged = merge_runs(
            self._time_ms, self._start, self._stop, self._ended, self._newest_ms, self._lane, self._row
        )
        for first, stop in run_bounds(self._lane[:merged]):
            yield int(self._lane[first]), self._row[first:stop]

    def over(self) -> bool:
        return bool(self._ended.all())


Taking = Callable[[Columns, NDArray[np.int32], NDArray[np.float64]], None]
"""Told of events of the deciding input in their order: where they are, which rows, float64 features by row."""


def backfill(
    catalog: Catalog,
    tables: Mapping[str, Iterable[pa.RecordBatch]],
    memory_bytes_max: int = MEMORY_BYTES_MAX,
    taking: Taking | None = None,
) -> Iterator[pa.RecordBatch]:
    """Features of the deciding input's rows, in the file's order: its id, its event time (ms), float64 features.

    `tables` has record batches by input name; a state input may be left out. Memory is bounded by the state and
    one batch an input. `taking` is told of all rows of a batch before it is yielded; a row is its place in it. Raises
    FileFieldError for columns that do not fit, StateFullError at the memory bound.
    """
    features = FeatureSet(catalog)
    state = features.new_state(memory_bytes_max)
    named = [(name, spec) for name, spec in catalog.inputs.items() if name in tables]
    sources = [_Source(name, spec, tables[name]) for name, spec in sorted(named, key=lambda item: item[1].topic)]
    merge = _Merge(sources)
    out = np.zeros((BATCH_ROWS, len(features.names)))
    while not merge.over():
        for lane in merge.drained():
            source = sources[lane]
            if source.name == catalog.deciding_input and source.batch is not None:
                yield _result(source, features.names, out)
        for lane, rows in merge.runs():
            decided = sources[lane].name == catalog.deciding_input
            _apply(state, sources[lane], rows, out if decided else None)
            if decided and taking is not None:
                taking(sources[lane].columns, rows, out)


def _apply(state: FeatureState, source: _Source, rows: NDArray[np.int32], out: NDArray[np.float64] | None) -> None:
    partition = np.zeros(len(rows), np.int32)
    offset = rows.astype(np.int64) + source.base_offset
    state.apply(source.name, source.columns, rows, partition, offset, out64=out)


def _result(source: _Source, names: tuple[str, ...], out: NDArray[np.float64]) -> pa.RecordBatch:
    assert source.batch is not None
    rows = source.batch.num_rows
    time = source.spec.schema_.index(source.spec.event_time)
    event_time = pa.array(source.columns.value[time, :rows].copy())
    identity = source.batch.column(source.batch.schema.get_field_index(source.spec.id))
    values = [pa.array(out[:rows, column].copy()) for column in range(len(names))]
    return pa.RecordBatch.from_arrays(
        [identity, event_time, *values], names=[source.spec.id, source.spec.event_time, *names]
    )
