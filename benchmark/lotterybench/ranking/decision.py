"""What it costs to choose on a proxy: full-data points lost, with bounds over families (§12).

Survivors of the proxies are compared on half of the full seeds and valued on the other half, as in
`regret`; here for many proxies of a kind at once, and on resamples of families: a resample is a
pool of the methods of the families that were drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lotterybench.ranking.base.arrays import Bools, Bounds, Floats, Ints, checked, percentiles
from lotterybench.ranking.base.winners import picked_and_valued
from lotterybench.ranking.resampling import family_draws, few

DRAWS = 1_000
CELLS = 2**21  # of an array over draws, proxies and entries
HALVES = 20  # splits of the full seeds, both ways


class Stage(NamedTuple):
    """A round of a choice: proxies (K, n), of which each keeps its best.

    `keep` is their number, or a share of those that are left, rounded up.
    """

    proxies: Floats
    keep: int | float


class Loss(NamedTuple):
    """Mean full-data points lost against choosing on full data, and its bounds over families."""

    lost: float
    bounds: Bounds | None


def points_lost(
    full: Floats,
    stages: Sequence[Stage],
    families: Ints,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Loss | None:
    """Return what a choice by stages loses, the mean over K proxies of a kind.

    `full` (n, s_f) are seed scores; the k-th proxies of all stages belong together. One stage that
    keeps 1 is the proxy's winner, one that keeps 3 promotes the three best, several that keep a
    half are successive halving (Jamieson & Talwalkar 2016). Ties go at random. None with one full
    seed; no bounds for fewer than 6 families.
    """
    split = picked_and_valued(full)
    if split is None:
        return None
    some = rng.permutation(len(split[0]))[:HALVES]
    picking, valuing = (side[some] for side in split)
    picking = picking + 1e-9 * rng.random(picking.shape)
    untied = [Stage(_untied(checked(stage.proxies), rng), stage.keep) for stage in stages]
    lost = float(_lost(picking, valuing, untied, np.ones((1, len(full)), dtype=bool))[0])
    bounds = None
    if not few(families):
        drawn = family_draws(families, rng, draws) > 0
        size = max(1, CELLS // stages[0].proxies.size)
        blocks = [drawn[start : start + size] for start in range(0, draws, size)]
        found = [_lost(picking, valuing, untied, pools) for pools in blocks]
        bounds = percentiles(np.concatenate(found))
    return Loss(lost, bounds)


def _untied(proxies: Floats, rng: np.random.Generator) -> Floats:
    """Return ranks (K, n) in which ties are broken at random; failures are last."""
    return np.argsort(np.lexsort((rng.random(proxies.shape), proxies)), axis=-1).astype(np.float64)


def _lost(picking: Floats, valuing: Floats, stages: Sequence[Stage], pools: Bools) -> Floats:
    """Return the mean loss (D,) over proxies and splits, of each of some pools (D, n)."""
    left, there = _survivors(stages, pools)
    splits = np.arange(len(picking))
    best = valuing[splits, np.where(pools[:, None], picking, -np.inf).argmax(axis=2)].mean(axis=1)
    chosen = np.zeros(len(pools))
    for pick, value in zip(picking, valuing, strict=True):
        at = np.where(there, pick[left], -np.inf).argmax(axis=2)
        chosen += value[np.take_along_axis(left, at[..., None], 2)[..., 0]].mean(axis=1)
    lost: Floats = best - chosen / len(picking)
    return lost


def _survivors(stages: Sequence[Stage], pools: Bools) -> tuple[Ints, Bools]:
    """Return who is left of each pool (D, n) after all stages, (D, K, m); False is a filled place.

    All K proxies keep equally many, but pools differ in size.
    """
    shape = (len(pools), *stages[0].proxies.shape)
    left = np.broadcast_to(np.arange(shape[2]), shape)
    there = np.broadcast_to(pools[:, None], shape)
    for stage in stages:
        scores = np.take_along_axis(np.broadcast_to(stage.proxies, shape), left, 2)
        count = there[:, 0].sum(axis=1)
        keep = stage.keep if isinstance(stage.keep, int) else np.ceil(stage.keep * count)
        keep = np.clip(keep, 1, count).astype(np.int64)
        order = np.argsort(np.where(there, -scores, np.inf), axis=2)[..., : keep.max()]
        left = np.take_along_axis(left, order, 2)
        there = np.broadcast_to(
            np.arange(left.shape[2]) < keep[:, None, None], (*shape[:2], left.shape[2])
        )
    return left, there
