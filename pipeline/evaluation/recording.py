"""Recorded events to judge: who they belong to, when they were, and which of them were positive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.catalog import InputSpec
from pipeline.config.model import PipelineConfig
from pipeline.errors import UnusableFileError
from pipeline.tables import read_events

if TYPE_CHECKING:
    from pipeline.cli.inputs import InputFiles

DAY_MS = 86_400_000


class RecordingError(UnusableFileError):
    """A recording that nothing can be told from."""


@dataclass(frozen=True)
class Recording:
    """Events in time order, and what only feeds state by input; `events` has the declared columns alone.

    Rows from `first` on are judged, those before feed state. Of the judged ones: `ids` as text, `time_ms`, `cluster`
    (int32, whose event it is: a number below `clusters`), and `positive` where labels are known.
    """

    spec: InputSpec
    events: pa.Table
    state: Mapping[str, pa.Table]
    first: int
    ids: pa.Array
    time_ms: NDArray[np.int64]
    cluster: NDArray[np.int32]
    clusters: int
    positive: NDArray[np.bool_] | None
    labels: str
    sorted_here: bool

    @property
    def rows(self) -> int:
        """How many events are judged."""
        return len(self.time_ms)


def read_recording(
    files: "InputFiles", a: PipelineConfig, b: PipelineConfig, from_ms: int | None, to_ms: int | None
) -> Recording:
    """The events of both configurations' deciding input before `to_ms`, and all that either reads beside it.

    Raises TableError or RecordingError naming the file and the column.
    """
    name, spec = a.catalog.deciding_input, a.catalog.decided
    batches = list(read_events(files.deciding, spec, files.renamed, extra=files.label_column))
    if not batches:
        raise RecordingError(f"{files.deciding}: holds no events")
    events = pa.Table.from_batches(batches)
    times = times_of(events, spec.event_time)
    sorted_here = bool((np.diff(times) < 0).any())
    if sorted_here:
        order = np.argsort(times, kind="stable")
        events, times = events.take(pa.array(order)), times[order]
    if to_ms is not None:
        events = events.slice(0, int(np.searchsorted(times, to_ms)))
        times = times[: events.num_rows]
    first = 0 if from_ms is None else int(np.searchsorted(times, from_ms))
    if first >= len(times):
        found = "none" if not len(times) else f"the last is of {_day(int(times[-1]))}"
        raise RecordingError(f"{files.deciding}: no events between --from and --to; {found}")
    judged = events.slice(first)
    truth = None if files.label_column is None else _truth_of(judged, files)
    state = _state(files, a, b, name, to_ms)
    ids = judged[spec.id].cast(pa.string()).combine_chunks()
    if len(pc.unique(ids)) < len(ids):
        twice = pc.value_counts(ids).filter(pc.greater(pc.struct_field(pc.value_counts(ids), [1]), 1))[0]
        raise RecordingError(
            f"{files.deciding}: {spec.id} {twice['values'].as_py()} stands in {twice['counts'].as_py()} rows; an "
            f"event's decision is found by its id, so each needs one of its own"
        )
    keys = judged[spec.key].combine_chunks().dictionary_encode()
    positive, labels = truth or _truth_by_labels(files, a, ids, state)
    if positive is not None and positive.all() | ~positive.any():
        what = "all" if positive.all() else "none"
        raise RecordingError(
            f"{labels}: {what} of the {len(ids):,} judged events is true, so no quality can be told; judge others "
            f"(--from, --to), or leave the labels away"
        )
    declared = events.select(list(spec.fields))
    return Recording(
        spec=spec,
        events=declared,
        state=state,
        first=first,
        ids=ids,
        time_ms=times[first:],
        cluster=keys.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        clusters=len(keys.dictionary),
        positive=positive,
        labels=labels,
        sorted_here=sorted_here,
    )


def _state(
    files: "InputFiles", a: PipelineConfig, b: PipelineConfig, deciding: str, to_ms: int | None
) -> dict[str, pa.Table]:
    """What each state input holds that came to be known before the end, in that order."""
    tables: dict[str, pa.Table] = {}
    for config, other in ((a, b), (b, a)):
        own = files.known_to(config, other)
        for name, batches in own.open(config).items():
            if name == deciding or name in tables:
                continue
            spec = config.catalog.inputs[name]
            made = list(batches)
            if not made:
                continue
            table = pa.Table.from_batches(made)
            known = times_of(table, spec.order_time)
            order = np.argsort(known, kind="stable")
            upto = len(order) if to_ms is None else int(np.searchsorted(known[order], to_ms))
            tables[name] = table.take(pa.array(order[:upto]))
    return tables


def _truth_of(judged: pa.Table, files: "InputFiles") -> tuple[NDArray[np.bool_], str]:
    """Which judged events are positive by the file's own column, and its name."""
    where, column = f"{files.deciding.name}: column {files.label_column!r}", judged[files.label_column]
    if not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)):
        raise RecordingError(f"{where} is {column.type}, expected bool")
    if column.null_count:
        raise RecordingError(f"{where} is empty in {column.null_count:,} rows, expected true or false")
    return column.cast(pa.bool_()).to_numpy().astype(np.bool_), where


def _truth_by_labels(
    files: "InputFiles", config: PipelineConfig, ids: pa.Array, state: Mapping[str, pa.Table]
) -> tuple[NDArray[np.bool_] | None, str]:
    """The same by the input that the pipeline takes labels from, where there is a file of it."""
    labels = next((entity.labels for entity in config.catalog.entities.values() if entity.labels), None)
    if labels is None or labels.input not in state:
        return None, ""
    spec, table = config.catalog.inputs[labels.input], state[labels.input]
    where = f"{files.state[labels.input].name}: field {labels.field!r}"
    rows = pc.index_in(table[spec.id].cast(pa.string()).combine_chunks(), value_set=ids)
    told = pc.is_valid(rows).to_numpy(zero_copy_only=False)
    positive = np.zeros(len(ids), np.bool_)
    # In the order in which they came to be known: of several about one event the last one stays.
    positive[rows.filter(pa.array(told)).to_numpy()] = table[labels.field].to_numpy()[told].astype(np.bool_)
    return positive, where


def times_of(table: pa.Table, field: str) -> NDArray[np.int64]:
    """A time column in ms since the epoch."""
    column = table[field]
    return np.asarray(column.cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy(), np.int64)


def _day(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("datetime64[D]"))
