"""Class subsets: tests without training, disjoint targets, and what of τ is training (§7, §12).

All of it is of full-trained models, whose test items say what they would name among some classes
only. Accuracies on different classes are only ever ranked, never subtracted (protocol §7).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lotterybench.estimates import Estimate
from lotterybench.fidelities import Classes, Decomposition
from lotterybench.ranking import Bounds, Floats, family_interval, kendall_tau
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.crossed import crossed_interval, crossed_tau
from lotterybench.score.frontier import estimate
from lotterybench.score.items import Tested
from lotterybench.score.pool import Runs, Scored
from lotterybench.trials import WITHIN


def class_rows(tested: Tested, among: Sequence[int], full: Floats, y: Floats, seed: int) -> Classes:
    """Return the evaluation-only and disjoint-target rows of a subset with the classes `among`.

    `full` (n, s) are seed scores on full data, `y` (n,) the subset's own seed means. The same
    models make both sides of the evaluation-only row, so each takes half of the seeds; subset and
    target share none, so the disjoint row has all.
    """
    groups = tested.pool.groups
    only = tested.accuracies(among)
    rest = [name for name in range(tested.items.classes) if name not in set(among)]
    disjoint = None
    if len(rest) > 1:
        target = seed_means(tested.accuracies(rest))
        bounds = family_interval(target, y, groups, np.random.default_rng(seed))
        disjoint = _estimate(kendall_tau(target, y), bounds)
    bounds = crossed_interval(full, only, groups, np.random.default_rng(seed))
    return Classes(
        evaluation_only=_estimate(crossed_tau(full, only), bounds),
        disjoint=disjoint,
        remaining=len(rest),
    )


def decomposition(
    scope: str, tau: float | None, ceiling: float | None, rows: Classes | None, own: float | None
) -> Decomposition:
    """Return τ of training on {full, subset} and testing on {full, subset} (protocol §12).

    `tau` is the headline, `ceiling` the repeat ceiling, `rows` those of a class subset, and `own`
    the τ of encoders trained and tested on the subset's classes.
    """
    only = rows.evaluation_only if rows else None
    return Decomposition(
        full_full=ceiling,
        full_subset=only.value if only else None,
        subset_full=tau if scope == "full" else None,
        subset_subset=tau if scope == "subset" else own,
    )


def own_classes(x: Floats, pool: Scored, there: Runs) -> float | None:
    """Return τ-b of full means (n,) with subset-trained encoders tested on the subset's classes.

    None where runs that ended well lack that metric: classifiers, sample subsets, older results.
    """
    runs = [run for e in pool.entries for run in there[e.name] if run.status == "ok"]
    if not runs or any(WITHIN not in run.metrics for run in runs):
        return None
    return kendall_tau(x, seed_means(pool.scores(there, WITHIN, full=False)))


def _estimate(tau: float | None, bounds: Bounds | None) -> Estimate | None:
    return None if tau is None else estimate(tau, bounds)
