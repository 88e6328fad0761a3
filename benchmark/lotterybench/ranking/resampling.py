"""Intervals by resampling: families (the headline), configurations or two levels (sensitivity).

The estimand is the expected statistic for new families under the same seeds per method
(protocol §3). Whole families are drawn with all their configurations, on seed means; pairs of
copies of one configuration count nowhere. Bounds are one-sided 5th and 95th percentiles; draws in
which the statistic is undefined are left out.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from lotterybench.ranking.agreement import STATISTICS
from lotterybench.ranking.base.arrays import (
    DRAWS,
    Bounds,
    Floats,
    Ints,
    percentiles,
    single,
)
from lotterybench.ranking.base.kernels import (
    Correlations,
    correlations,
    over_root,
    quadratic,
    tau_rows,
)

MIN_FAMILIES = 6  # below them: no interval (protocol §3)
MIN_CEILING = 0.5  # below it: no ratio (protocol §4)


class Paired(NamedTuple):
    """A difference of two statistics on the same entries, its bounds and a two-sided p."""

    difference: float
    bounds: Bounds
    p: float


class Ratio(NamedTuple):
    """τ over its ceiling, never clipped, and its bounds (None with too few families)."""

    ratio: float
    bounds: Bounds | None


def family_draws(families: Ints, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Return multiplicities (draws, n) of entries when whole families are resampled.

    `families` (n,) numbers each entry's family from 0. As many families are drawn as there are,
    with replacement, so an entry occurs as often as its family does.
    """
    count = int(families.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    return drawn[:, families].astype(np.float64)


def bootstrap(
    x: Floats,
    y: Floats,
    families: Ints,
    rng: np.random.Generator,
    *,
    statistic: str = "tau",
    draws: int = DRAWS,
) -> Bounds | None:
    """Resample whole families and return the 5th and 95th percentiles of a statistic.

    `x` and `y` are seed means (n,); `families` (n,) numbers each entry's family from 0;
    `statistic` is a key of `STATISTICS`. Draws in which it is undefined are left out; None if it
    is undefined in all. The number of families is not checked: see `family_interval`.
    """
    return percentiles(STATISTICS[statistic](family_draws(families, rng, draws), x, y))


def family_interval(
    x: Floats,
    y: Floats,
    families: Ints,
    rng: np.random.Generator,
    *,
    statistic: str = "tau",
    draws: int = DRAWS,
) -> Bounds | None:
    """Return the interval of protocol §3: `bootstrap`, but None for fewer than 6 families."""
    if few(families):
        return None
    return bootstrap(x, y, families, rng, statistic=statistic, draws=draws)


def configuration_interval(
    x: Floats, y: Floats, rng: np.random.Generator, *, statistic: str = "tau", draws: int = DRAWS
) -> Bounds | None:
    """Resample single configurations (n,): sensitivity only, since it ignores families."""
    return bootstrap(x, y, np.arange(len(x)), rng, statistic=statistic, draws=draws)


def two_level_draws(
    full: Floats, subset: Floats, rng: np.random.Generator, draws: int = DRAWS
) -> Correlations:
    """Return τ-b and ρ (draws,) when configurations, then seeds within each, are resampled.

    `full` (n, s_f) and `subset` (n, s_s) are seed scores. All copies of a configuration in a draw
    share one resample of its seeds, so their pairs stay self-pairs and count nowhere.
    """
    weights = entry_draws(len(full), rng, draws)
    x, y = (seeds_redrawn(side, rng, draws) for side in (full, subset))
    return correlations(x, y, weights)


def two_level_interval(
    full: Floats,
    subset: Floats,
    rng: np.random.Generator,
    *,
    statistic: str = "tau",
    draws: int = DRAWS,
) -> Bounds | None:
    """Return the two-level interval of `tau` or `rho`: sensitivity only (protocol §3).

    It counts seed noise twice, so it lies too low, and ignores families.
    """
    found = two_level_draws(full, subset, rng, draws)
    return percentiles(found.tau if statistic == "tau" else found.rho)


def paired_difference(
    full: Floats,
    one: Floats,
    other: Floats,
    families: Ints,
    rng: np.random.Generator,
    *,
    statistic: str = "tau",
    draws: int = DRAWS,
) -> Paired | None:
    """Compare two arms by statistic(full, one) − statistic(full, other) on the same resamples.

    All are seed means (n,). `other` is the control (τ_S − τ_C, protocol §5) or a second subset
    (protocol §9). p is two-sided: twice the smaller share of draws at or beyond 0, each with one
    draw added. None for fewer than 6 families or where a side is undefined.
    """
    rows, ones = STATISTICS[statistic], np.ones((1, len(full)))
    point = float((rows(ones, full, one) - rows(ones, full, other))[0])
    if few(families) or not np.isfinite(point):
        return None
    weights = family_draws(families, rng, draws)
    return _paired(point, rows(weights, full, one) - rows(weights, full, other))


def pairwise_differences(
    full: Floats,
    arms: Sequence[Floats],
    families: Ints,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
) -> dict[tuple[int, int], Paired]:
    """Compare every two arms by τ-b with `full` (n,), all on the same resamples of families.

    Each arm holds seed means (k, n) of its k draws, whose τ are averaged. Keys are places (i, j)
    with i < j. As `paired_difference`, {} for fewer than 6 families; pairs with an undefined side
    are absent. Protocol §9.
    """
    if few(families):
        return {}
    ones, weights = np.ones((1, len(full))), family_draws(families, rng, draws)
    points, values = (
        [np.mean([tau_rows(by, full, y) for y in arm], axis=0) for arm in arms]
        for by in (ones, weights)
    )
    found = {}
    for i, j in combinations(range(len(arms)), 2):
        point = float(points[i][0] - points[j][0])
        paired = _paired(point, values[i] - values[j]) if np.isfinite(point) else None
        if paired is not None:
            found[i, j] = paired
    return found


def _paired(point: float, values: Floats) -> Paired | None:
    """Return the bounds and the p of a difference from its draws; None if none is defined."""
    values = values[np.isfinite(values)]
    bounds = percentiles(values)
    if bounds is None:
        return None
    tail = min((values <= 0).sum(), (values >= 0).sum())
    return Paired(point, bounds, min(1.0, 2 * float(tail + 1) / (len(values) + 1)))


def ceiling_ratio(
    x: Floats,
    y: Floats,
    ceiling: float | None,
    concordance: Floats,
    families: Ints,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Ratio | None:
    """Return τ-b(x, y) over the arm ceiling, both on the same family resamples (protocol §4).

    `x` and `y` are seed means (n,); `concordance` (n, n) is the expected product of the signs of
    each pair under a perfect proxy (`ceilings.Arm`), from which a resample's ceiling follows
    without new simulations. None if τ is undefined or the ceiling is below 0.5; never clipped.
    """
    tau = single(float(tau_rows(np.ones((1, len(x))), x, y)[0]))
    if tau is None or ceiling is None or ceiling < MIN_CEILING:
        return None
    bounds = None
    if not few(families):
        weights = family_draws(families, rng, draws)
        pairs = quadratic(weights, 1 - np.eye(len(x)))
        expected = over_root(quadratic(weights, concordance), pairs, pairs)
        expected[expected <= 0] = np.nan
        bounds = percentiles(tau_rows(weights, x, y) / expected)
    return Ratio(tau / ceiling, bounds)


def few(families: Ints) -> bool:
    """Say whether there are too few families (n,) for an interval."""
    return len(np.unique(families)) < MIN_FAMILIES


def entry_draws(entries: int, rng: np.random.Generator, draws: int) -> Floats:
    """Return multiplicities (draws, n) of as many entries drawn with replacement."""
    picks = rng.integers(entries, size=(draws, entries)) + entries * np.arange(draws)[:, None]
    counts = np.bincount(picks.ravel(), minlength=draws * entries)
    return counts.reshape(draws, entries).astype(np.float64)


def seeds_redrawn(scores: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Return seed means (draws, n) of seeds drawn with replacement for each draw and entry.

    An entry that lacks a seed (NaN) draws from those that it has.
    """
    n, seeds = scores.shape
    there: int | Ints = (~np.isnan(scores)).sum(axis=1)
    if np.all(there == seeds):
        there = seeds  # one bound for all is drawn several times as fast
    flat, first = np.sort(scores, axis=1).ravel(), seeds * np.arange(n)  # NaN sorts last
    total = np.zeros((draws, n))
    for _ in range(seeds):
        total += flat[rng.integers(there, size=(draws, n), dtype=np.int32) + first]
    means: Floats = np.round(total / seeds, 9)
    return means
