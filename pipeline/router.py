"""Which route each row takes, by what its event has and by its features: expressions and lists, once a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.columns import Columns
from features.expression import Program, column_scales, compile_expression, names_in, run_program
from features.kernel import kernel
from features.keys import Keys, find_key
from features.schema import NUMBER
from pipeline.clock import NS_PER_MS
from pipeline.config.cascade_section import RouteSection
from pipeline.config.model import PipelineConfig
from pipeline.rows import Rows

NO_ROUTE = 0


@kernel(
    "void(int32[::1], int64[::1], int32[::1], boolean, int32[::1], int64[::1], int32[::1], uint8[::1], int64[::1],"
    " float64[:, ::1], int64)"
)
def _find(
    slots: Any,
    value: Any,
    length: Any,
    add: bool,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    meta: Any,
    out: Any,
    column: int,
) -> None:
    for index in range(len(slots)):
        slot = slots[index]
        known = find_key(value[slot], length[slot], add, table, keys, lengths, text, meta) >= 0
        out[index, column] = 1.0 if known else 0.0


class _Listed:
    """One of a list of values in a field."""

    def __init__(self, column: int, values: Sequence[int | str]) -> None:
        self.column = column
        texts = [each.encode() if isinstance(each, str) else b"" for each in values]
        self._keys = Keys(2 * len(values))
        while self._keys.text_bytes < sum(map(len, texts)):
            self._keys.grow_text()
        joined = np.frombuffer(b"".join(texts) or b"\0", np.uint8)
        starts = joined.ctypes.data + np.cumsum([0, *map(len, texts)])[:-1]
        pairs = list(zip(values, starts.tolist(), texts, strict=True))
        value = np.array([each if isinstance(each, int) else start for each, start, _ in pairs], np.int64)
        length = np.array([NUMBER if isinstance(each, int) else len(text) for each, _, text in pairs], np.int32)
        self._look(np.arange(len(values), dtype=np.int32), value, length, True, np.empty((len(values), 1)), 0)

    def _look(self, slots: Any, value: Any, length: Any, add: bool, out: Any, column: int) -> None:
        keys = self._keys
        _find(slots, value, length, add, keys.table, keys.keys, keys.lengths, keys.text, keys.meta, out, column)

    def holds(self, slots: NDArray[np.int32], columns: Columns, out: NDArray[np.float64]) -> None:
        """Write 1 to out[row, 0] where a slot has one of the values, else 0."""
        self._look(slots, columns.value[self.column], columns.length[self.column], False, out, 0)


class _Names:
    """What an expression uses, in the order of its own small table: fields as they are stored, features as floats."""

    def __init__(self, where: str, expression: str, catalog: Catalog) -> None:
        self.used = list(dict.fromkeys(names_in(where, expression)))
        schema = catalog.decided.schema_
        fields, features = list(schema.fields), list(catalog.features)
        scales = column_scales(schema)
        self.places = [
            (True, fields.index(name)) if name in fields else (False, features.index(name)) for name in self.used
        ]
        self.scales = np.array([scales[at] if is_field else 0.0 for is_field, at in self.places], np.float64)

    def index(self, name: str) -> int:
        return self.used.index(name)


class _Expressed:
    """Arithmetic over fields and features that is not 0."""

    def __init__(self, where: str, expression: str, catalog: Catalog) -> None:
        self._names = _Names(where, expression, catalog)
        self._program: Program = compile_expression(where, expression, self._names)

    def holds(
        self, slots: NDArray[np.int32], columns: Columns, features64: NDArray[np.float64], out: NDArray[np.float64]
    ) -> None:
        """Write a number to out[row, 0] that is not 0 where it holds of a slot."""
        table = np.empty((len(self._names.places), len(slots)), np.int64)
        for row, (is_field, at) in enumerate(self._names.places):
            table[row] = columns.value[at, slots] if is_field else features64[slots, at].view(np.int64)
        rows, program = np.arange(len(slots), dtype=np.int32), self._program
        run_program(program.steps, program.constants, table, self._names.scales, rows, out, 0)


@dataclass(frozen=True, slots=True)
class _Route:
    number: int
    by_features: bool
    test: _Listed | _Expressed
    more_ns: int


class Router:
    """Writes `Rows.route`: the number of the first route that holds of a row, from 1 on, NO_ROUTE where none does.

    `by_fields` comes first and looks at the routes up to the first that uses features; it also gives rows the budget
    of theirs, so it comes before deadlines of an event's own. `by_features` looks at the others, once features are
    there.
    """

    def __init__(
        self, routes: Sequence[RouteSection], catalog: Catalog, rows: Rows, columns: Columns, budget_ms: int
    ) -> None:
        self._rows = rows
        self._columns = columns
        self._names = [route.name for route in routes]
        fields = catalog.decided.schema_.fields
        made = []
        for number, route in enumerate(routes, start=1):
            where = f"routes: {route.name}: when"
            used = names_in(where, route.when) if route.when else []
            test: _Listed | _Expressed = (
                _Expressed(where, route.when, catalog)
                if route.when
                else _Listed(list(fields).index(route.field), route.values)
            )
            more_ns = 0 if route.budget_ms is None else (route.budget_ms - budget_ms) * NS_PER_MS
            made.append(_Route(number, any(name not in fields for name in used), test, more_ns))
        first = next((at for at, route in enumerate(made) if route.by_features), len(made))
        self._early, self._late = made[:first], made[first:]
        self._taken: NDArray[np.int64] = np.zeros(len(made) + 1, np.int64)

    def by_fields(self, slots: NDArray[np.int32]) -> None:
        """Send decoded events, whose deadlines are the pipeline's, on their routes."""
        self._rows.route[slots] = NO_ROUTE
        self._send(slots, self._early)

    def by_features(self, slots: NDArray[np.int32]) -> None:
        """Send those that have no route yet, now that their features are known."""
        if self._late:
            self._send(slots[self._rows.route[slots] == NO_ROUTE], self._late)

    def _send(self, slots: NDArray[np.int32], routes: Sequence[_Route]) -> None:
        for route in routes:
            if not len(slots):
                return
            out = np.empty((len(slots), 1))
            if isinstance(route.test, _Listed):
                route.test.holds(slots, self._columns, out)
            else:
                route.test.holds(slots, self._columns, self._rows.features64, out)
            holds = out[:, 0] != 0
            mine = slots[holds]
            self._rows.route[mine] = route.number
            self._taken[route.number] += len(mine)
            if route.more_ns:
                self._rows.deadline_ns[mine] += route.more_ns
            slots = slots[~holds]

    def counts(self) -> Mapping[str, int]:
        """Rows by route so far, for the metrics."""
        return {f"routed/{name}": int(self._taken[number]) for number, name in enumerate(self._names, start=1)}


def router_of(config: PipelineConfig, rows: Rows, columns: Columns) -> Router | None:
    """The router of these routes, None where there are none. Raises ValueError that says what is not possible."""
    if not config.routes:
        return None
    return Router(config.routes, config.catalog, rows, columns, config.pipeline.budget_ms)
