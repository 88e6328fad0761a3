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
    lost = _lost(picking, valuing, untied, np.ones(len(full), dtype=bool))
    bounds = None
    if not few(families):
        drawn = family_draws(families, rng, draws) > 0
        bounds = percentiles(np.array([_lost(picking, valuing, untied, row) for row in drawn]))
    return Loss(lost, bounds)


def _untied(proxies: Floats, rng: np.random.Generator) -> Floats:
    """Return ranks (K, n) in which ties are broken at random; failures are last."""
    return np.argsort(np.lexsort((rng.random(proxies.shape), proxies)), axis=-1).astype(np.float64)


def _lost(picking: Floats, valuing: Floats, stages: Sequence[Stage], pool: Bools) -> float:
    """Return the mean loss over proxies and splits, of a pool (n,)."""
    alive = np.broadcast_to(pool, stages[0].proxies.shape)
    for stage in stages:
        alive = _kept(stage, alive)
    entries = np.arange(len(pool))
    best = valuing[np.arange(len(valuing)), np.argmax(np.where(pool, picking, -np.inf), axis=1)]
    if (alive.sum(axis=1) == 1).all():  # no seed of full data is needed to choose
        chosen = valuing[:, entries[np.argmax(alive, axis=1)]]
        return float(best.mean() - chosen.mean())
    losses = [
        best[s] - valuing[s][np.argmax(np.where(alive, picking[s], -np.inf), axis=1)]
        for s in range(len(valuing))
    ]
    return float(np.mean(losses))


def _kept(stage: Stage, alive: Bools) -> Bools:
    """Return which entries (K, n) are left after a stage."""
    left = int(alive[0].sum())
    keep = stage.keep if isinstance(stage.keep, int) else int(np.ceil(stage.keep * left))
    scores = np.where(alive, stage.proxies, -np.inf)
    place = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    kept: Bools = (place < max(1, min(keep, left))) & alive
    return kept
