"""Differences paired by seed: Student's interval of their mean, and gains between references."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lotterybench.ranking.base.arrays import Floats

LEVEL = 0.95  # of two-sided intervals
CLEAR = 2.0  # standard errors that a denominator must have


class Mean(NamedTuple):
    """A mean over seeds with a two-sided 95 % interval; no bounds for one seed."""

    value: float
    low: float | None
    high: float | None
    n: int


def mean_of(values: Sequence[float] | Floats) -> Mean | None:
    """Return the mean of independent values (n,) with Student's t interval; None for no value."""
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return None
    value = float(found.mean())
    if len(found) < 2:
        return Mean(value, None, None, len(found))
    from scipy.stats import t as student

    quantile = float(student.ppf((1 + LEVEL) / 2, len(found) - 1))
    half = quantile * standard_error(found)
    return Mean(value, value - half, value + half, len(found))


def standard_error(values: Floats) -> float:
    """Return the standard error of the mean of values (n,), n at least 2."""
    return float(values.std(ddof=1) / len(values) ** 0.5)


def normalised_gain(value: Floats, low: Floats, high: Floats) -> float | None:
    """Return (value − low) / (high − low) of means over paired seeds, each (n,).

    None, undefined, for fewer than two seeds and where the mean of high − low is not above 0 or is
    below 2 of its standard errors (protocol §10).
    """
    if len(value) < 2:
        return None
    whole = high - low
    if whole.mean() <= 0 or whole.mean() < CLEAR * standard_error(whole):
        return None
    return float((value - low).mean() / whole.mean())
