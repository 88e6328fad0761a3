"""Rank statistics: pure functions of arrays, vectorised over bootstrap draws.

Everything rests on sign matrices. With S_x[i, j] = sign(x_i − x_j) and multiplicities w_i of the
entries in one bootstrap draw,

    τ_b = Σ w_i w_j S_x S_y / √(Σ w_i w_j |S_x| · Σ w_i w_j |S_y|),

in which a pair of copies of one entry counts nowhere: self-pairs drop out by themselves.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 10_000
Statistic = Callable[[Floats, Floats, Floats], Floats]


class Bounds(NamedTuple):
    """One-sided 5 % and 95 % bootstrap bounds."""

    low: float
    high: float


def kendall_tau(x: Floats, y: Floats) -> float | None:
    """Return Kendall's τ-b between two score vectors (n,); None where it is undefined.

    Infinite scores are allowed (an entry that failed ranks below all); τ-b is undefined if all
    entries of a side are tied. Source: Kendall (1945); equals scipy.stats.kendalltau.
    """
    return _single(_kendall, x, y)


def spearman_rho(x: Floats, y: Floats) -> float | None:
    """Return Spearman's ρ with mid-ranks for ties; None where it is undefined."""
    return _single(_spearman, x, y)


def bootstrap(
    x: Floats,
    y: Floats,
    families: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    statistic: str = "tau",
    draws: int = DRAWS,
) -> Bounds | None:
    """Resample whole families and return the 5th and 95th percentiles of a statistic.

    `families` (n,) numbers each entry's family from 0; `statistic` is `tau` or `rho`. Draws in
    which the statistic is undefined are left out; None if it is undefined in all.
    """
    count = int(families.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    weights = drawn[:, families].astype(np.float64)
    values = _STATISTICS[statistic](weights, x, y)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [5, 95])
    return Bounds(float(low), float(high))


def rank_intervals(scores: Floats) -> NDArray[np.int64]:
    """Return the best and worst rank, (n, 2), that each entry's spread over seeds allows.

    `scores` is (n, seeds), higher is better. An entry is surely behind another if its largest
    score is below the other's smallest; its best rank is 1 + the number of those that surely
    beat it, its worst n − the number that it surely beats.
    """
    low, high = scores.min(axis=1), scores.max(axis=1)
    beaten = (high[:, None] < low[None, :]).sum(axis=1)
    beats = (low[:, None] > high[None, :]).sum(axis=1)
    return np.stack([1 + beaten, len(scores) - beats], axis=1)


def _signs(x: Floats) -> Floats:
    return (x[:, None] > x[None, :]).astype(np.float64) - (x[:, None] < x[None, :])


def _kendall(weights: Floats, x: Floats, y: Floats) -> Floats:
    """τ-b for each row of multiplicities (draws, n)."""
    sx, sy = _signs(x), _signs(y)

    def pairs(matrix: Floats) -> Floats:
        total: Floats = ((weights @ matrix) * weights).sum(axis=1)
        return total

    with np.errstate(invalid="ignore", divide="ignore"):
        return pairs(sx * sy) / np.sqrt(pairs(np.abs(sx)) * pairs(np.abs(sy)))


def _spearman(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Pearson's correlation of weighted mid-ranks for each row of multiplicities (draws, n)."""

    def centred_ranks(values: Floats) -> Floats:
        below = (values[None, :] < values[:, None]) + 0.5 * (values[None, :] == values[:, None])
        ranks: Floats = weights @ below.T
        mean = (weights * ranks).sum(axis=1) / weights.sum(axis=1)
        centred: Floats = ranks - mean[:, None]
        return centred

    rx, ry = centred_ranks(x), centred_ranks(y)
    across = (weights * rx * ry).sum(axis=1)
    within = (weights * rx**2).sum(axis=1) * (weights * ry**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(within > 0, across / np.sqrt(within), np.nan)


_STATISTICS: dict[str, Statistic] = {"tau": _kendall, "rho": _spearman}


def _single(statistic: Statistic, x: Floats, y: Floats) -> float | None:
    value = float(statistic(np.ones((1, len(x))), np.asarray(x, float), np.asarray(y, float))[0])
    return max(-1.0, min(1.0, value)) if np.isfinite(value) else None
