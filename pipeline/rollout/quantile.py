"""Quantiles of Student's t distribution, without a library that weighs a hundred megabytes."""

from math import exp, pi, sqrt
from statistics import NormalDist


def t_quantile(tail: float, freedom: float) -> float:
    """What a t variable exceeds with probability `tail` (below 0.5), within 1 % for tails down to 1e-9.

    Hill, Algorithm 396 (CACM 13, 1970), for `freedom` of at least 3.
    """
    two = 2.0 * tail
    a = 1.0 / (freedom - 0.5)
    b = 48.0 / (a * a)
    c = ((20700.0 * a / b - 98.0) * a - 16.0) * a + 96.36
    d = ((94.5 / (b + c) - 3.0) / b + 1.0) * sqrt(a * pi / 2.0) * freedom
    x = d * two
    y = x ** (2.0 / freedom)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(two * 0.5)
        y = x * x
        if freedom < 5:
            c += 0.3 * (freedom - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x
        y = a * y * y
        y = y + 0.5 * y * y if y <= 0.002 else exp(y) - 1.0
    else:
        inner = ((freedom + 6.0) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2.0) * 3.0
        y = ((1.0 / inner + 0.5 / (freedom + 4.0)) * y - 1.0) * (freedom + 1.0) / (freedom + 2.0) + 1.0 / y
    return sqrt(freedom * y)
