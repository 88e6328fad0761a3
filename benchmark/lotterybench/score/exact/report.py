"""The report of an enumeration: how well all class subsets of each size rank the pool (§8)."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np

from lotterybench.enumerations import Best, ExactCount, ExactReport, Procedure
from lotterybench.estimates import Estimate
from lotterybench.kinds.exact import Exact
from lotterybench.ranking import Floats
from lotterybench.ranking.base.arrays import Ints, percentiles, seed_means, single
from lotterybench.ranking.base.kernels import correlations
from lotterybench.ranking.ceilings import arm_ceiling, item_ceiling, repeat_ceiling
from lotterybench.ranking.components import (
    item_variance,
    seed_ratio,
    split_half_families,
    split_half_seeds,
    variance_components,
)
from lotterybench.ranking.null import holm
from lotterybench.ranking.power import ALPHA, FAITHFUL, MARGIN
from lotterybench.ranking.resampling import few
from lotterybench.ranking.selecting import certify
from lotterybench.ranking.simultaneous import (
    Draws,
    best_set,
    p_falls_short,
    p_reaches,
    retest,
    simultaneous_lower,
    tau_draws,
)
from lotterybench.ranking.verdicts import (
    MIN_CONFIGURATIONS,
    MIN_FAMILIES,
    MIN_SEEDS,
    NOISY,
    NOISY_CONFIGURATIONS,
    NOISY_SEEDS,
)
from lotterybench.score.exact.classes import classes_of, items
from lotterybench.score.exact.costs import cost_of
from lotterybench.score.exact.files import Enumeration, accuracies, read_enumeration
from lotterybench.score.frontier import Saving, estimate, frontier, interval, mean_tau

SEED = 20260103
RELIABLE = 0.9  # split-half correlation of the subsets' τ that the protocol asks for (§8)
SIMULATIONS = 100  # of a perfect proxy, for each subset: the arm ceiling is their mean
RETESTS = 20


def exact_report(folder: Path) -> ExactReport:
    """Return the report on what a track's folder holds, the smallest subsets first.

    τ-b is between seed means of accuracy on all classes and on the subset's (scope `subset`). The
    frontier takes the planned seeds of every arm, so that ways to save are equally noisy.
    """
    there = read_enumeration(folder)
    x, groups = accuracies(there.full)[0], _groups(there.full)
    counts, savings = [], []
    for count, found in there.counts.items():
        reported = _count(there, x, groups, count, found)
        counts.append(reported)
        planned = accuracies(found)[..., : there.track.seeds.subset]
        known = reported.tau if reported.seeds == planned.shape[2] else None
        cost, means = reported.cost, seed_means(planned)
        savings.append(Saving("random", f"{count} classes", cost, means, known, "classes"))
    for arm, found in there.arms.items():
        cost = cost_of(there.track, there.base, len(there.base.class_names), arm)
        means = seed_means(accuracies(found)[..., : there.track.seeds.subset])
        ladder = arm.arm if arm.arm == "control" else ""
        savings.append(Saving(arm.arm, str(arm), cost, means, None, ladder))
    rng = np.random.default_rng(SEED)
    return ExactReport(
        schema_version=1,
        track=there.track.name,
        track_version=there.track.version,
        track_digest=there.track.digest(),
        counts=counts,
        frontier=frontier(x, seed_means(x), savings, groups, rng),
    )


def _groups(found: Exact) -> Ints:
    return np.unique(found.families, return_inverse=True)[1].astype(np.int64)


def _count(there: Enumeration, x: Floats, groups: Ints, count: int, found: Exact) -> ExactCount:
    rng = np.random.default_rng(SEED)
    names, ys = there.base.class_names, accuracies(found)
    means = seed_means(ys)
    drawn = tau_draws(seed_means(x), means, groups, rng)
    tau = drawn.tau
    seeds = split_half_seeds(x, ys, rng)
    families = split_half_families(seed_means(x), means, groups, rng)
    bounds = None if few(groups) else percentiles(drawn.drawn.mean(axis=1))
    low, median, high = (float(value) for value in np.nanpercentile(tau, [5, 50, 95]))
    per_item = items(there.full)
    q_full, q = seed_ratio(x), _mean([seed_ratio(y) for y in ys])
    control, difference, gaps = _control(there, x, groups, count, ys.shape[2], drawn)
    large = _large_enough(len(set(found.families)), means.shape[1], x.shape[1], ys.shape[2], q)
    verdicts = _verdicts(drawn, gaps) if large and gaps is not None else (None, None, None)
    return ExactCount(
        classes=count,
        subsets=len(tau),
        configurations=len(found.configurations),
        families=len(set(found.families)),
        seeds_full=x.shape[1],
        seeds=ys.shape[2],
        cost=cost_of(there.track, there.base, count),
        tau=estimate(float(np.nanmean(tau)), bounds),
        lowest=float(np.nanmin(tau)),
        low=low,
        median=median,
        high=high,
        highest=float(np.nanmax(tau)),
        above=float(np.mean(tau >= FAITHFUL)),
        repeat_ceiling=repeat_ceiling(x),
        arm_ceiling=_arm_ceiling(x, ys, rng),
        item_ceiling=None
        if per_item is None
        else item_ceiling(per_item, rng, size=per_item.shape[1] * count // len(names)),
        control=control,
        difference=difference,
        faithful=verdicts[0],
        tickets=verdicts[1],
        refuted=verdicts[2],
        best=None if few(groups) else _best(drawn, found, names),
        q_full=q_full,
        q=q,
        reliability=seeds.correlation if seeds else None,
        across_families=families.correlation if families else None,
        reliable=bool(seeds and seeds.correlation >= RELIABLE),
        seeds_needed=_seeds_needed(seeds.correlation, ys.shape[2]) if seeds else None,
        retest=_retest(x, ys, rng),
        components=_components(there.full, ys),
        procedure=_procedure(x, ys, groups, rng),
        evaluation=classes_of(there.full, found, tau),
    )


def _large_enough(
    families: int, configurations: int, seeds_full: int, seeds: int, q: float | None
) -> bool:
    """Say whether there is enough for verdicts (§1, §2)."""
    noisy = q is None or q > NOISY
    return (
        families >= MIN_FAMILIES
        and configurations >= (NOISY_CONFIGURATIONS if noisy else MIN_CONFIGURATIONS)
        and seeds_full >= MIN_SEEDS[0]
        and seeds >= (NOISY_SEEDS if noisy else MIN_SEEDS[1])
    )


def _best(drawn: Draws, found: Exact, names: list[str]) -> Best:
    """Say whether a subset is surely better than the population, and above 0.7."""
    families = len(set(found.families))
    lower = simultaneous_lower(drawn, families)
    gain = simultaneous_lower(drawn.gain, families)
    best, reaches, exceeds = int(np.argmax(drawn.tau)), lower >= FAITHFUL, gain > 0
    return Best(
        classes=[name for bit, name in enumerate(names) if found.subsets[best] >> bit & 1],
        tau=float(drawn.tau[best]),
        low=float(lower[best]),
        contenders=int(best_set(drawn).sum()),
        above_level=int(reaches.sum()),
        above_mean=int(exceeds.sum()),
        both=int((reaches & exceeds).sum()),
        exists=bool((reaches & exceeds).any()),
    )


def _control(
    there: Enumeration, x: Floats, groups: Ints, count: int, seeds: int, subsets: Draws
) -> tuple[Estimate | None, Estimate | None, Draws | None]:
    """Return the τ of the control of a size, the mean difference to it, and each subset's own.

    The control takes as many steps as a subset of the size, and as many `seeds` of it count.
    """
    share = count / len(there.base.class_names)
    same = [
        arm for arm in there.arms if arm.arm == "control" and abs(arm.amount - share) < 1e-9
    ]  # fmt: skip
    if not same:
        return None, None, None
    rng = np.random.default_rng(SEED)  # the subsets' own resamples
    controlled = accuracies(there.arms[same[0]])
    if controlled.shape[2] < seeds:
        return None, None, None
    scores = seed_means(controlled[..., :seeds])
    drawn = tau_draws(seed_means(x), scores, groups, rng)
    tau = mean_tau(seed_means(x), scores, groups, np.random.default_rng(SEED))
    if len(drawn.drawn) != len(subsets.drawn):
        return tau, None, None
    gaps = Draws(subsets.tau - drawn.tau, subsets.drawn - drawn.drawn)
    bounds = None if few(groups) else percentiles(gaps.drawn.mean(axis=1))
    return tau, estimate(float(gaps.tau.mean()), bounds), gaps


def _verdicts(drawn: Draws, gaps: Draws) -> tuple[int, int, int]:
    """Return how many subsets are faithful, tickets and refuted, each after Holm (§8).

    A verdict of several conditions has the largest of their p values.
    """
    reaches = p_reaches(drawn, FAITHFUL)
    faithful = np.maximum(reaches, p_reaches(gaps, MARGIN))
    ticket = np.maximum(faithful, p_reaches(gaps, 0.0))
    refuted = p_falls_short(drawn, FAITHFUL)
    sure = [int((np.array(holm(list(p))) <= ALPHA).sum()) for p in (faithful, ticket, refuted)]
    return sure[0], sure[1], sure[2]


def _arm_ceiling(x: Floats, ys: Floats, rng: np.random.Generator) -> float | None:
    found = [arm_ceiling(x, y, rng, simulations=SIMULATIONS) for y in ys]
    return _mean([arm.ceiling if arm else None for arm in found])


def _retest(x: Floats, ys: Floats, rng: np.random.Generator) -> float | None:
    """Return the mean overlap of the best tenths by disjoint halves of the seeds."""
    if ys.shape[2] < 2:
        return None
    found = []
    for _ in range(RETESTS):
        (one, again), (here, there) = _halves(x, rng), _halves(ys, rng)
        found.append(retest(correlations(one, here).tau, correlations(again, there).tau))
    return float(np.mean(found))


def _seeds_needed(correlation: float, seeds: int) -> int | None:
    """Return the seeds, in threes, whose halves would correlate by 0.9 (Spearman & Brown 1910)."""
    if not 0 < correlation < 1:
        return None
    times = RELIABLE * (1 - correlation) / (correlation * (1 - RELIABLE))
    return 3 * ceil(times * 2 * (seeds // 2) / 3)


def _halves(scores: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return means over two disjoint random halves of the seeds."""
    order = rng.permutation(scores.shape[-1])
    half = len(order) // 2
    return seed_means(scores[..., order[:half]]), seed_means(scores[..., order[half : 2 * half]])


def _components(full: Exact, ys: Floats) -> dict[str, float]:
    """Return the variances of method, subset, their interaction, seed and test items (§9)."""
    item = None
    if full.outranked is not None and full.outranked.shape[1] > 1:
        item = item_variance(100.0 * (full.outranked == 0))
    found = variance_components(np.moveaxis(ys, 0, 1), item)
    if found is None:
        return {}
    return {name: value for name, value in found._asdict().items() if value is not None}


def _procedure(x: Floats, ys: Floats, groups: Ints, rng: np.random.Generator) -> Procedure | None:
    """Certify "take the subset with the largest τ" on families and seeds it has not seen (§6)."""
    if min(x.shape[1], ys.shape[2]) < 2:
        return None
    (known, fresh), (candidates, scored) = _halves(x, rng), _halves(ys, rng)
    found = certify(fresh, scored, groups, rng, learning=(known, candidates))
    if found is None:
        return None
    return Procedure(
        tau=found.tau,
        interval=interval(found.bounds),
        population=found.population,
        gain=found.gain,
        gain_interval=interval(found.gain_bounds),
        in_sample=single(found.in_sample),
        percentile=single(found.percentile),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
