"""The kernels behind reasons: contributions worked out once for every case, and rows looked up in the tables."""

from typing import Any

import numpy as np

from features.kernel import kernel


@kernel("void(int64[::1], float64[::1], float64[::1], int64[::1], float64[::1])")
def fill_leaves(first: Any, share: Any, value: Any, table_at: Any, table: Any) -> None:
    """Contributions of each leaf, `[case, feature]` from `table_at[leaf]` on.

    `first[leaf]` is where the features of its path begin, in `share`: of the training rows at the feature's nodes on
    the path, the share that stayed on it. Bit n of a case says that a row stays by the n-th of them. A feature's
    Shapley value is the mean of what it changes over all orders of joining; the product of the others is a polynomial
    in their number, so its coefficients weigh each number once.
    """
    for leaf in range(len(value)):
        begin = first[leaf]
        count = first[leaf + 1] - begin
        others = np.empty(count + 1)
        for case in range(1 << count):
            for chosen in range(count):
                others[0] = 1.0
                size = 0
                for index in range(count):
                    if index == chosen:
                        continue
                    left_out, joins = share[begin + index], (case >> index) & 1
                    others[size + 1] = others[size] * joins
                    for joined in range(size, 0, -1):
                        others[joined] = others[joined] * left_out + others[joined - 1] * joins
                    others[0] *= left_out
                    size += 1
                total, weight = 0.0, 1.0 / count
                for joined in range(count):
                    total += others[joined] * weight
                    weight = weight * (joined + 1) / max(1, count - 1 - joined)
                change = ((case >> chosen) & 1) - share[begin + chosen]
                table[table_at[leaf] + case * count + chosen] = total * change * value[leaf]


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], float64[::1], float64[:, ::1])")
def join_leaves(first: Any, mask: Any, want: Any, column: Any, table_at: Any, table: Any, out: Any) -> None:
    """Add up the tables of a tree's leaves into `out[case, feature]`.

    Bit n of a case here says that a row goes left at the tree's n-th split: it stays on a leaf's path by a feature
    where the case has the bits `want` under `mask`.
    """
    for case in range(len(out)):
        for leaf in range(len(table_at)):
            begin, end = first[leaf], first[leaf + 1]
            own = 0
            for index in range(begin, end):
                own |= int(case & mask[index] == want[index]) << (index - begin)
            at = table_at[leaf] + own * (end - begin) - begin
            for index in range(begin, end):
                out[case, column[index]] += table[at + index]


@kernel()
def _contributions(
    row: Any,
    test_first: Any,
    tested: Any,
    low: Any,
    high: Any,
    column_first: Any,
    columns: Any,
    at: Any,
    table: Any,
    out: Any,
) -> None:
    out[:] = 0.0
    for group in range(len(at)):
        begin = test_first[group]
        case = 0
        for index in range(begin, test_first[group + 1]):
            number = row[tested[index]]
            inside = not number <= low[index] and (number <= high[index] or high[index] == np.inf)
            case |= int(inside) << (index - begin)
        begin, end = column_first[group], column_first[group + 1]
        place = at[group] + case * (end - begin) - begin
        for index in range(begin, end):
            out[columns[index]] += table[place + index]


@kernel(
    "void(float32[:, ::1], int64[::1], int32[::1], float32[::1], float32[::1], int64[::1], int32[::1], int64[::1],"
    " float64[::1], float64[:, ::1])"
)
def contributions(
    rows: Any,
    test_first: Any,
    tested: Any,
    low: Any,
    high: Any,
    column_first: Any,
    columns: Any,
    at: Any,
    table: Any,
    out: Any,
) -> None:
    """Each feature's contribution to each row's log-odds, into `out[row, feature]`."""
    for row in range(len(rows)):
        _contributions(rows[row], test_first, tested, low, high, column_first, columns, at, table, out[row])


@kernel(
    "void(int32[::1], float32[:, ::1], int64[::1], int32[::1], float32[::1], float32[::1], int64[::1], int32[::1],"
    " int64[::1], float64[::1], int32[:, ::1], float32[:, ::1])"
)
def largest(
    slots: Any,
    rows: Any,
    test_first: Any,
    tested: Any,
    low: Any,
    high: Any,
    column_first: Any,
    columns: Any,
    at: Any,
    table: Any,
    features: Any,
    numbers: Any,
) -> None:
    """Of each slot's contributions the largest by absolute value, in that order; NaN where there are no more."""
    found = np.empty(rows.shape[1])
    for index in range(len(slots)):
        slot = slots[index]
        _contributions(rows[slot], test_first, tested, low, high, column_first, columns, at, table, found)
        for place in range(features.shape[1]):
            best, most = 0, 0.0
            for column in range(len(found)):
                if abs(found[column]) > most:
                    best, most = column, abs(found[column])
            features[slot, place] = best
            numbers[slot, place] = np.float32(found[best]) if most > 0.0 else np.float32(np.nan)
            found[best] = 0.0
