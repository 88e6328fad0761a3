"""Statements about all subsets of a population at once: bounds, the set of the best, p values.

All rest on one set of family resamples, in which the subsets' τ move together (protocol §8).
"""

from typing import NamedTuple

import numpy as np

from lotterybench.ranking.base.arrays import (
    DRAWS,
    Bools,
    Floats,
    Ints,
    checked,
)
from lotterybench.ranking.base.kernels import over_root, quadratic, signs
from lotterybench.ranking.resampling import family_draws

LEVEL = 0.05


class Draws(NamedTuple):
    """τ-b of each subset (K,) and in each resample of families (draws, K)."""

    tau: Floats
    drawn: Floats

    @property
    def gain(self) -> "Draws":
        """What each subset's τ adds to the population's mean."""
        return Draws(
            self.tau - self.tau.mean(), self.drawn - self.drawn.mean(axis=1, keepdims=True)
        )


def tau_draws(
    full: Floats, subsets: Floats, families: Ints, rng: np.random.Generator, draws: int = DRAWS
) -> Draws:
    """Return τ-b between `full` (n,) and each of `subsets` (K, n), all on the same resamples.

    Resamples in which the τ of any subset is undefined are left out.
    """
    x, ys = checked(full), checked(subsets)
    weights = family_draws(families, rng, draws)
    weights = np.concatenate([np.ones((1, len(x))), weights])
    sx = signs(x)
    one, untied = quadratic(weights, np.abs(sx)), np.abs(sx)
    found = np.empty((len(weights), len(ys)))
    for k, y in enumerate(ys):
        sy = signs(y)
        other = np.abs(sy)
        below = one if np.array_equal(other, untied) else quadratic(weights, other)
        found[:, k] = over_root(quadratic(weights, sx * sy), one, below)
    drawn = found[1:]
    return Draws(found[0], drawn[np.isfinite(drawn).all(axis=1)])


def simultaneous_lower(found: Draws, families: int, level: float = LEVEL) -> Floats:
    """Return lower bounds (K,) that all hold at once with probability 1 − `level`.

    They are percentile bounds, as protocol §3 has them, at that one smaller level at which no
    subset of a resample lies below its own bound in 1 − `level` of the resamples: balanced over
    subsets (Beran 1988). So far out in the tail, resamples of few families spread too little:
    the distance to τ grows as Student's quantile exceeds the normal one, and by √(F / (F − 1))
    (the expanded percentiles of Hesterberg 2015).
    """
    from scipy.stats import norm
    from scipy.stats import t as student

    below = np.argsort(np.argsort(found.drawn, axis=0, kind="stable"), axis=0)
    deepest = np.sort(below.min(axis=1))
    rank = int(deepest[int(level * len(deepest))])
    tail = max(rank, 1) / len(deepest)
    wider = student.isf(tail, families - 1) / norm.isf(tail) * (families / (families - 1)) ** 0.5
    lower: Floats = found.tau - wider * (found.tau - np.sort(found.drawn, axis=0)[rank])
    return lower


def best_set(found: Draws, level: float = LEVEL) -> Bools:
    """Return which subsets (K,) may be the best: the set holds it with probability 1 − `level`.

    A subset is out if another exceeds it by more than the largest studentised gap that resamples
    allow: tests of "none is better than this one", inverted (Hsu 1996, chapter 4).
    """
    inside = np.ones(len(found.tau), dtype=bool)
    for k in range(len(found.tau)):
        gaps = Draws(found.tau - found.tau[k], found.drawn - found.drawn[:, [k]])
        spread = gaps.drawn.std(axis=0, ddof=1)
        others = spread > 0
        if others.any():
            luck = (gaps.drawn[:, others] - gaps.tau[others]) / spread[others]
            most = np.quantile(luck.max(axis=1), 1 - level)
            inside[k] = (gaps.tau[others] / spread[others]).max() <= most
    return inside


def p_reaches(found: Draws, level: float) -> Floats:
    """Return the p (K,) of each subset's statistic being at most `level`: small means above it.

    The share of resamples at or below, one added to both counts: 0.05 is where the one-sided
    percentile bound crosses `level`.
    """
    p: Floats = (1 + (found.drawn <= level).sum(axis=0)) / (1 + len(found.drawn))
    return p


def p_falls_short(found: Draws, level: float) -> Floats:
    """Return the p (K,) of each subset's statistic being at least `level`: small means below."""
    p: Floats = (1 + (found.drawn >= level).sum(axis=0)) / (1 + len(found.drawn))
    return p


def retest(tau: Floats, again: Floats, share: float = 0.1) -> float:
    """Return how many of the best `share` of subsets by τ (K,) are so by a second τ, too.

    A share of them; by chance it is `share`. Ties go by place.
    """
    count = max(1, round(share * len(tau)))
    first, second = (set(np.argsort(-side, kind="stable")[:count]) for side in (tau, again))
    return len(first & second) / count
