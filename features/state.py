"""The feature set of a catalog, and the state that it is computed from."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.columns import Columns
from features.entity import EntityPlan, EntityState, plan_entity
from features.expression import Program, column_scales, compile_expression, run_program
from features.kernel import kernel
from features.memory_bound import MemoryBound
from features.model_state import ModelState, ModelStatePlan
from features.outcome_state import OutcomePlan, OutcomeState
from features.paned import PanedPlan, PanedState, plan_paned

MEMORY_BYTES_MAX = 16 << 30
_ONE_SLICE = 0
BEYOND = 2**63 - 1
"""An offset that no record has."""


WindowState = EntityState | PanedState
"""The windows of one entity, exact or paned."""
KeptState = WindowState | OutcomeState | ModelState
"""All that a slice takes along."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one call met: events beyond their entity's lateness, and what came too late for earlier answers."""

    late: int = 0
    disordered: int = 0


@kernel("void(int32[::1], float64[:, ::1], float32[:, ::1])")
def _narrow(rows: Any, wide: Any, narrow: Any) -> None:
    for index in range(len(rows)):
        for column in range(wide.shape[1]):
            narrow[rows[index], column] = np.float32(wide[rows[index], column])


@dataclass(frozen=True)
class _Call:
    """A user's own compiled function: float64 arguments from fields, one float64 back."""

    function: Callable[..., float]
    fields: tuple[int, ...]
    column: int


def load_function(where: str, path: str, arguments: int) -> Callable[..., float]:
    """Import `module:function`. Raises ValueError that says what is missing or wrong about it."""
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{where}: cannot import {path!r}, expected module:function ({error})") from None
    if not hasattr(function, "py_func"):
        raise ValueError(f"{where}: {path!r} is not compiled by numba.njit")
    expected = function.py_func.__code__.co_argcount
    if expected != arguments:
        raise ValueError(f"{where}: {path!r} takes {expected} arguments, {arguments} are named")
    return function  # type: ignore[no-any-return]


class FeatureSet:
    """A catalog made ready: programs for expressions, table plans for entities. Immutable, shared by states.

    `names` are the features in declaration order, which is their column order. `outcomes` are kept beside the
    windows of a slice, and advance by rows that were scored.
    """

    def __init__(self, catalog: Catalog, outcomes: Sequence[OutcomePlan] = ()) -> None:
        self.catalog = catalog
        self.outcomes = tuple(outcomes)
        self.names: tuple[str, ...] = tuple(catalog.features)
        self.entities: tuple[EntityPlan | PanedPlan, ...] = tuple(
            plan_entity(name, catalog) if spec.panes is None else plan_paned(name, catalog)
            for name, spec in catalog.entities.items()
        )
        self.scales = column_scales(catalog.decided.schema_)
        schema = catalog.decided.schema_
        self.programs: list[tuple[Program, int]] = []
        self.calls: list[_Call] = []
        for column, (name, feature) in enumerate(catalog.features.items()):
            where = f"features.{name}"
            if feature.expression is not None:
                self.programs.append((compile_expression(where, feature.expression, schema), column))
            elif feature.call is not None:
                function = load_function(where, feature.call, len(feature.arguments))
                fields = tuple(schema.index(argument) for argument in feature.arguments)
                self.calls.append(_Call(function, fields, column))

    @property
    def has_global_entities(self) -> bool:
        """Whether some state is fed by all partitions of the deciding input."""
        return any(plan.shared for plan in self.entities)

    def new_state(
        self, memory_bytes_max: int = MEMORY_BYTES_MAX, models: Sequence[ModelStatePlan] = ()
    ) -> "FeatureState":
        """Empty state for this set, and for what `models` remember; all of it takes `memory_bytes_max` at most."""
        return FeatureState(self, memory_bytes_max, models)


def _parts(
    state: WindowState,
    columns: Columns,
    rows: NDArray[np.int32],
    partition: NDArray[np.int32],
    offset: NDArray[np.int64],
    since: int,
) -> list[tuple[Any, bool]]:
    """Which of the rows are only asked for, and which are new: those from offset `since` on that no key has seen.

    A key's own rows stay in order.
    """
    if since == BEYOND:
        return [(slice(None), False)]
    old = state.seen(columns, rows, partition, offset)
    if since and offset[0] < since:
        old = offset < since if old is None else old | (offset < since)
    return [(slice(None), True)] if old is None else [(old, False), (~old, True)]


def _empty(plan: EntityPlan | PanedPlan, bound: MemoryBound) -> WindowState:
    return PanedState(plan, bound) if isinstance(plan, PanedPlan) else EntityState(plan, bound)


class FeatureState:
    """All windows that a process keeps. One thread calls everything.

    Entities whose key is the topic's are kept by slice (a partition; a replay or backfill uses one slice for
    all), so that a partition takes its state along; the others are kept once for all.
    """

    def __init__(self, features: FeatureSet, memory_bytes_max: int, models: Sequence[ModelStatePlan] = ()) -> None:
        self._features = features
        self._model_plans = tuple(models)
        self._bound = MemoryBound(memory_bytes_max)
        self._global = {plan.name: _empty(plan, self._bound) for plan in features.entities if plan.shared}
        self._local: dict[int, dict[str, WindowState]] = {}
        self._outcomes: dict[int, dict[str, OutcomeState]] = {}
        self._models: dict[int, dict[str, ModelState]] = {}
        self._deciding = features.catalog.deciding_input

    def apply(
        self,
        input_name: str,
        columns: Columns,
        rows: NDArray[np.int32],
        partition: NDArray[np.int32],
        offset: NDArray[np.int64],
        *,
        slice_id: int = _ONE_SLICE,
        update_local: bool = True,
        shared_from: int = 0,
        out64: NDArray[np.float64] | None = None,
        out32: NDArray[np.float32] | None = None,
    ) -> Applied:
        """Take events of one input in, in the order of `rows`.

        For the deciding input, out64[row] and out32[row] (float64 and float32[capacity, features], owned by
        the caller) are written for each row. `partition` and `offset` have a cell for each of `rows`. Events before
        the offset `shared_from`, which global entities have taken already, and what keys from a checkpoint have, are
        not given them again; then the rows are of one partition, their offsets rising. Raises StateFullError when the
        memory bound is reached.
        """
        if input_name != self._deciding:
            return self._apply_labels(input_name, columns, rows)
        if not len(rows):
            return Applied()
        late = disordered = 0
        for plan in self._features.entities:
            state = self._global[plan.name] if plan.shared else self._slice(slice_id)[plan.name]
            since = shared_from if plan.shared else 0 if update_local else BEYOND
            for part, new in _parts(state, columns, rows, partition, offset, since):
                if not new and out64 is None:
                    continue
                counts = state.apply(columns, rows[part], partition[part], offset[part], out64, update=new)
                late += 0 if plan.shared else counts[0]
                disordered += counts[1]
        if out64 is not None:
            self._write_stateless(columns, rows, out64)
            if out32 is not None:
                _narrow(rows, out64, out32)
        return Applied(late, disordered)

    def _apply_labels(self, input_name: str, columns: Columns, rows: NDArray[np.int32]) -> Applied:
        disordered = 0
        for plan in self._features.entities:
            if isinstance(plan, PanedPlan) or plan.label_input != input_name:
                continue
            state = self._global[plan.name]
            assert isinstance(state, EntityState)
            disordered += state.apply_labels(columns, rows)
        return Applied(0, disordered)

    def _write_stateless(self, columns: Columns, rows: NDArray[np.int32], out64: NDArray[np.float64]) -> None:
        scales = self._features.scales
        for program, column in self._features.programs:
            run_program(program.steps, program.constants, columns.value, scales, rows, out64, column)
        for call in self._features.calls:
            arguments = []
            for field in call.fields:
                scale = scales[field]
                raw = columns.floats[field, rows] if scale == 0.0 else columns.value[field, rows] / scale
                arguments.append(raw)
            out64[rows, call.column] = [call.function(*cells) for cells in zip(*arguments, strict=True)]

    def _slice(self, slice_id: int) -> dict[str, WindowState]:
        if slice_id not in self._local:
            self._local[slice_id] = {
                plan.name: _empty(plan, self._bound) for plan in self._features.entities if not plan.shared
            }
        return self._local[slice_id]

    @property
    def has_outcomes(self) -> bool:
        """Whether anything is kept of scored rows."""
        return bool(self._features.outcomes)

    def outcomes(self, slice_id: int) -> dict[str, OutcomeState]:
        """What is kept of a slice's scored rows."""
        if slice_id not in self._outcomes:
            plans = self._features.outcomes
            self._outcomes[slice_id] = {plan.name: OutcomeState(plan, self._bound) for plan in plans}
        return self._outcomes[slice_id]

    def models(self, slice_id: int) -> dict[str, ModelState]:
        """What recurrent models remember of a slice's keys."""
        if slice_id not in self._models:
            self._models[slice_id] = {plan.name: ModelState(plan, self._bound) for plan in self._model_plans}
        return self._models[slice_id]

    @property
    def comes_back(self) -> bool:
        """Whether a slice has state of its own that its topic can bring back: windows, what models remember."""
        return bool(self._model_plans) or any(not plan.shared for plan in self._features.entities)

    def open_slice(self, slice_id: int) -> None:
        """Reserve and touch a partition's memory now, rather than at its first event."""
        self.entities(slice_id)

    def drop_slice(self, slice_id: int) -> None:
        """Forget a partition's own entities: it is another process's now, and their memory is free for others."""
        for kept in (self._local, self._outcomes, self._models):
            for state in kept.pop(slice_id, {}).values():
                state.close()

    def entities(self, slice_id: int | None) -> dict[str, KeptState]:
        """The states of a slice, opened if it is not; None: of those that are kept once for all partitions.

        Windows come before what models remember, so that of a checkpoint no window is behind what was made of it.
        """
        if slice_id is None:
            return {**self._global}
        return {**self._slice(slice_id), **self.outcomes(slice_id), **self.models(slice_id)}

    def clear(self, slice_id: int | None) -> None:
        """Forget what a slice holds, or (None) the global entities: all of them are empty again."""
        if slice_id is not None:
            self.drop_slice(slice_id)
            return
        for state in self._global.values():
            state.close()
        self._global = {plan.name: _empty(plan, self._bound) for plan in self._features.entities if plan.shared}

    def keys(self) -> dict[str, int]:
        """Keys with state, by entity."""
        return {name: sum(state.keys for state in states) for name, states in self._by_entity().items()}

    @property
    def taken_bytes(self) -> int:
        """Of `memory_bytes_max`, what is taken: tables and what lies ready for the next events too."""
        return self._bound.taken_bytes

    def used_bytes(self) -> dict[str, int]:
        """Memory in use, by entity."""
        return {name: sum(state.used_bytes() for state in states) for name, states in self._by_entity().items()}

    def _by_entity(self) -> dict[str, list[KeptState]]:
        found: dict[str, list[KeptState]] = {name: [state] for name, state in self._global.items()}
        kept = (self._local, self._outcomes, self._models)
        slices: list[Mapping[str, KeptState]] = [states for by_slice in kept for states in by_slice.values()]
        for states in slices:
            for name, state in states.items():
                found.setdefault(name, []).append(state)
        return found
