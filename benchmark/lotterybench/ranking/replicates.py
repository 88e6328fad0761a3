"""Means over replicates, and differences of two, by Student's t."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from lotterybench.errors import BadRequest
from lotterybench.ranking.base.arrays import Floats


class Mean(NamedTuple):
    """A mean of `n` replicates, their sd (None below two), and its two-sided 95 % interval."""

    value: float
    sd: float | None
    n: int
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """A difference of two means: its two-sided 95 % interval, and one-sided 95 % lower bound.

    Bounds are None where one side has fewer than two replicates.
    """

    value: float
    low: float | None
    high: float | None
    lower: float | None


def mean(values: Floats) -> Mean:
    """Return the mean of replicates (n,) with a t interval; raise `BadRequest` for none."""
    n = len(values)
    if n == 0:
        raise BadRequest("no replicates to take the mean of")
    centre = float(np.mean(values))
    if n < 2:
        return Mean(centre, None, n, None, None)
    sd = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n)
    return Mean(centre, sd, n, centre - half, centre + half)


def difference(first: Floats, second: Floats) -> Difference:
    """Return mean(first) − mean(second) of independent replicates, by Welch's t."""
    value = float(np.mean(first) - np.mean(second))
    n, m = len(first), len(second)
    if min(n, m) < 2:
        return Difference(value, None, None, None)
    a, b = np.var(first, ddof=1) / n, np.var(second, ddof=1) / m
    error = float(np.sqrt(a + b))
    if error == 0:
        return Difference(value, value, value, value)
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    two, one = (float(stats.t.ppf(q, freedom)) * error for q in (0.975, 0.95))
    return Difference(value, value - two, value + two, value - one)
