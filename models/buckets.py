"""Which batch sizes are worth warming, from what each was measured to cost. Pure."""

from collections.abc import Mapping

_TIE = 1.02  # sizes whose cost a row differs by less are equally efficient
_WORTH = 0.9  # of what padding to the next larger bucket costs: a bucket that saves less is not worth its warm-up


def worthwhile_buckets(curve: Mapping[int, float], rows_max: int) -> tuple[int, ...]:
    """The sizes to warm where a batch is padded to the next larger one, rising.

    `curve` is the measured cost of a run, in any unit, by size; sizes above `rows_max` are left out. The largest
    kept is the most efficient one, that of the least cost a row (of those within 2 % of it, the smallest): more
    rows are served sooner and for less in several runs of it. Below it, a size is kept when its run saves at
    least 10 % over one padded to the next larger size kept, which one that costs as much or more never does. The
    smallest measured is kept whatever it saves, since it is what a lone event gets. So a batch costs at most
    1/0.9 of what the best of all measured sizes that hold it, up to the largest kept, would cost.

    Raises ValueError when no size up to `rows_max` was measured, or a size or cost is not above zero.
    """
    sizes = sorted(size for size in curve if size <= rows_max)
    if not sizes:
        raise ValueError(f"curve: expected a size up to {rows_max} rows, found {sorted(curve)}")
    wrong = [size for size in sizes if size < 1 or not curve[size] > 0]
    if wrong:
        raise ValueError(f"curve: expected sizes and costs above zero, found {curve[wrong[0]]} for {wrong[0]} rows")
    enough = _TIE * min(curve[size] / size for size in sizes)
    efficient = next(size for size in sizes if curve[size] / size <= enough)
    kept = [efficient]
    for size in reversed(sizes[: sizes.index(efficient)]):
        if size == sizes[0] or curve[size] <= _WORTH * curve[kept[-1]]:
            kept.append(size)
    return tuple(reversed(kept))
