"""Certify a selection procedure that reads method results: protocol §6 (c).

20 random two-fold splits of the families; a subset is selected on one half and only pairs inside
the other are scored, both ways; each pair is averaged over splits; families are resampled with the
selections fixed. It certifies the procedure, never one manifest. Folds are of whole families, so
none is on both sides; with an odd number one fold is larger by one. The protocol's word
"stratified" is met by that alone: strata within families would put a family on both sides.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lotterybench.ranking.base.arrays import (
    DRAWS,
    Bounds,
    Floats,
    Ints,
    checked,
    mean_defined,
    percentiles,
    single,
)
from lotterybench.ranking.base.kernels import correlations, over_root, quadratic, signs
from lotterybench.ranking.resampling import family_draws, few

SPLITS = 20
Choose = Callable[[Floats, Floats], Floats]


class Procedure(NamedTuple):
    """The held-out τ of a selection procedure, and that of a candidate taken at random.

    `gain` is `tau` − `population`; bounds are of the family bootstrap (None for fewer than 6
    families). `chosen` (K,) is how often each candidate was selected, as a share. `in_sample` is
    the τ that the selected had where it was selected, `percentile` the mean share of candidates
    that it beats where it was not (ties ½): 0.5 is no better than at random.
    """

    tau: float
    bounds: Bounds | None
    population: float | None
    gain: float | None
    gain_bounds: Bounds | None
    chosen: Floats
    in_sample: float
    percentile: float


class _Selections(NamedTuple):
    """How often each pair was scored with each subset (K, n, n) and at all (n, n), the share of
    selections that each subset got (K,), and what they were worth.
    """

    chosen: Floats
    seen: Floats
    shares: Floats
    in_sample: float
    percentile: float


def best_tau(full: Floats, subsets: Floats) -> Floats:
    """Return the weights (K,) of the subset with the largest τ-b; tied ones share.

    `full` (n,) and `subsets` (K, n) are seed means of the choosing half. All weights are equal if
    every τ is undefined.
    """
    tau = correlations(full, subsets).tau
    tau = np.where(np.isfinite(tau), tau, -np.inf)
    best: Floats = (tau == tau.max()).astype(np.float64)
    best /= best.sum()
    return best


def certify(
    full: Floats,
    subsets: Floats,
    families: Ints,
    rng: np.random.Generator,
    *,
    choose: Choose = best_tau,
    learning: tuple[Floats, Floats] | None = None,
    splits: int = SPLITS,
    draws: int = DRAWS,
) -> Procedure | None:
    """Return what a selection procedure's subset is worth on families that it has not seen.

    `full` (n,) and `subsets` (K, n) are seed means, `families` (n,) numbers families from 0;
    `choose` takes both for the choosing half and returns weights (K,) that sum to 1; `learning`
    are means over other seeds for it to choose with, so that nothing of what selects a subset
    scores it. Pairs that no split scored (all families apart in all of them) are left out. None
    where τ is undefined.
    """
    x, ys = checked(full), checked(subsets)
    learnt = (x, ys) if learning is None else (checked(learning[0]), checked(learning[1]))
    made = _selections((x, ys), learnt, families, rng, choose, splits)
    chosen, seen = made.chosen, made.seen
    sx = signs(x)
    agreed, untied, all_agreed, all_untied = (np.zeros(sx.shape) for _ in range(4))
    for k, y in enumerate(ys):  # one subset's signs at a time: K may be large
        sy = signs(y)
        share = chosen[k]
        agreed += share * sx * sy
        untied += share * np.abs(sy)
        all_agreed += seen * sx * sy / len(ys)
        all_untied += seen * np.abs(sy) / len(ys)
    with np.errstate(invalid="ignore", divide="ignore"):
        held = np.where(seen > 0, np.stack([agreed, untied, all_agreed, all_untied]) / seen, 0.0)
    below = np.abs(sx) * (seen > 0)

    def taus(weights: Floats) -> tuple[Floats, Floats]:
        base = quadratic(weights, below)
        top, tied, all_top, all_tied = (quadratic(weights, matrix) for matrix in held)
        return over_root(top, base, tied), over_root(all_top, base, all_tied)

    own, everyone = (float(value[0]) for value in taus(np.ones((1, len(x)))))
    tau, population = single(own), single(everyone)
    if tau is None:
        return None
    bounds = gain_bounds = None
    if not few(families):
        drawn = taus(family_draws(families, rng, draws))
        bounds, gain_bounds = percentiles(drawn[0]), percentiles(drawn[0] - drawn[1])
    gain = None if population is None else tau - population
    return Procedure(
        tau, bounds, population, gain, gain_bounds, made.shares, made.in_sample, made.percentile
    )


def _selections(
    scoring: tuple[Floats, Floats],
    learning: tuple[Floats, Floats],
    families: Ints,
    rng: np.random.Generator,
    choose: Choose,
    splits: int,
) -> _Selections:
    """Choose on each half of the families in turn, and score on the other."""
    (x, ys), (known, candidates) = scoring, learning
    count, n = int(families.max()) + 1, len(x)
    chosen, seen, shares = np.zeros((len(ys), n, n)), np.zeros((n, n)), np.zeros(len(ys))
    worth: list[tuple[float, float]] = []
    for _ in range(splits):
        fold = np.isin(families, rng.permutation(count)[: count // 2])
        for learn in (fold, ~fold):
            inside = np.outer(~learn, ~learn)
            weights = choose(known[learn], candidates[:, learn])
            for k in np.flatnonzero(weights):
                chosen[k] += weights[k] * inside
            seen += inside
            shares += weights / (2 * splits)
            before = correlations(known[learn], candidates[:, learn]).tau
            after = correlations(x[~learn], ys[:, ~learn]).tau
            worth.append((_weighted(before, weights), _weighted(_percentiles(after), weights)))
    sides = (mean_defined(np.array(side)) for side in zip(*worth, strict=True))
    in_sample, percentile = (np.nan if side is None else side for side in sides)
    return _Selections(chosen, seen, shares, in_sample, percentile)


def _weighted(values: Floats, weights: Floats) -> float:
    """Return the weighted mean of what is defined; NaN if nothing that has weight is."""
    there = np.isfinite(values) & (weights > 0)
    return float(np.average(values[there], weights=weights[there])) if there.any() else np.nan


def _percentiles(tau: Floats) -> Floats:
    """Return the share of other candidates that each (K,) beats, ties ½; one alone is at ½."""
    if len(tau) < 2:
        return np.full(len(tau), 0.5)
    known = np.where(np.isfinite(tau), tau, -np.inf)
    less = (known[:, None] > known[None, :]).sum(axis=1)
    same = (known[:, None] == known[None, :]).sum(axis=1) - 1
    found: Floats = (less + same / 2) / (len(tau) - 1)
    return found
