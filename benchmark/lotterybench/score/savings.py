"""A board's ways to save, for its cost frontier: named subsets, random ones, cheaper arms (§12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotterybench.estimates import Frontier, ProxyKind
from lotterybench.nulls import Stratum
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.score.arms import Found
from lotterybench.score.comparison import Beside
from lotterybench.score.cost import cost_ratio
from lotterybench.score.fidelity import BOOTSTRAP_SEED
from lotterybench.score.frontier import Saving, frontier
from lotterybench.score.pool import Runs, Scored, by_configuration
from lotterybench.score.ranked import shared_pool
from lotterybench.trials import Track

FEWEST = 2  # configurations, below which there is nothing to choose


def board_frontier(
    track: Track, full: Runs, complete: Sequence[Found], beside: Sequence[Beside]
) -> Frontier | None:
    """Return what every way to save costs, how well it ranks, and what choosing by it loses.

    On the configurations that all subsets share; None without a subset whose runs are all there.
    A named random subset counts with those of the null of its size. Selection costs are not in it.
    """
    if not complete:
        return None
    pool = shared_pool(track, full, complete)
    if len(pool.entries) < FEWEST:
        return None
    arms = {one.subset.ref: by_configuration(track, one.results) for one in complete}
    found = [
        _saving(track, pool, full, "subset", one.subset.ref, [arms[one.subset.ref]])
        for one in complete
        if one.named and not one.random
    ]
    strata: dict[Stratum, list[Runs]] = {}
    for one in complete:
        if one.random:
            strata.setdefault(one.stratum, []).append(arms[one.subset.ref])
    for (kind, size), draws in strata.items():
        saving = _saving(track, pool, full, "random", f"{size} {kind}", draws)
        found.append(replace(saving, ladder=kind))
    for arm, runs in beside:
        saving = _saving(track, pool, full, arm.arm, str(arm), [runs])
        found.append(replace(saving, ladder="control" if arm.arm == "control" else ""))
    scores = pool.scores(full, track.metric, full=True)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return frontier(scores, seed_means(scores), found, pool.groups, rng)


def _saving(
    track: Track, pool: Scored, full: Runs, kind: ProxyKind, name: str, arms: Sequence[Runs]
) -> Saving:
    cost = float(np.mean([cost_ratio(pool, runs, full) for runs in arms]))
    means = [seed_means(pool.scores(runs, track.metric, full=False)) for runs in arms]
    return Saving(kind, name, cost, np.stack(means))
