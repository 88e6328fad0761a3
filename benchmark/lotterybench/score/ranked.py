"""Does a board rank subsets, or noise? Named and random subsets, all and by budget (§9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lotterybench.ranking import Floats
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.components import (
    RELIABLE,
    SplitHalf,
    ranks_subsets,
    split_half_families,
    split_half_seeds,
    variance_components,
)
from lotterybench.results import scope
from lotterybench.score.arms import Found
from lotterybench.score.fidelity import BOOTSTRAP_SEED
from lotterybench.score.pool import Runs, Scored, by_configuration, scored
from lotterybench.standings import Components, Ranked, Reliability
from lotterybench.trials import Track

FEWEST = 3  # subsets, below which there is no correlation
Halves = tuple[SplitHalf | None, SplitHalf | None]  # over seeds, over families


def ranked(track: Track, full: Runs, found: Sequence[Found]) -> Ranked | None:
    """Say whether the subsets' order is more than noise, on configurations that all share.

    `found` are the subsets whose planned runs are all there; those drawn with the class counts of
    another one stand for no list, and do not count. None where fewer than three are tested on
    everything: the others are never ordered (protocol §7).
    """
    found = [
        one for one in found if (one.named or one.random) and scope(track, one.subset) == "full"
    ]
    if len(found) < FEWEST:
        return None
    pool = shared_pool(track, full, found)
    seeds, families = _halves(track, full, found, pool)
    strata = dict.fromkeys(one.stratum for one in found)
    budgets = [
        _budget(track, full, same, pool, (seeds, families) if len(strata) == 1 else None)
        for stratum in strata
        if (same := [one for one in found if one.stratum == stratum])
    ]
    named = Counter(one.stratum for one in found if one.named)
    doubts = _doubts("all subsets", seeds and seeds.correlation, families and families.correlation)
    for one in budgets:
        if named[one.kind, one.size] > 1:
            doubts += _doubts(f"subsets of {one.size} {one.kind}", one.seeds, one.families)
    return Ranked(
        seeds=seeds.correlation if seeds else None,
        families=families.correlation if families else None,
        holds=ranks_subsets(seeds, families) and not doubts,
        why=f"{doubts[0]} (protocol §9)" if doubts else "",
        budgets=budgets,
    )


def shared_pool(track: Track, full: Runs, found: Sequence[Found]) -> Scored:
    """Return the configurations that every one of some subsets is scored on."""
    pools = [scored(track, full, one.subset) for one in found]
    left_out = {name: why for pool in pools for name, why in pool.left_out.items()}
    return Scored([e for e in pools[0].entries if e.name not in left_out], left_out)


def subset_scores(track: Track, pool: Scored, found: Sequence[Found]) -> Floats:
    """Return seed scores (K, n, seeds) of subsets; −inf is a failure."""
    return np.stack(
        [
            pool.scores(by_configuration(track, one.results), track.metric, full=False)
            for one in found
        ]
    )


def _halves(track: Track, full: Runs, found: Sequence[Found], pool: Scored) -> Halves:
    """Return the split-half correlations over seeds and over families."""
    if len(found) < FEWEST or len(pool.entries) < 2:
        return None, None
    x = pool.scores(full, track.metric, full=True)
    ys = subset_scores(track, pool, found)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return split_half_seeds(x, ys, rng), split_half_families(
        seed_means(x), seed_means(ys), pool.groups, rng
    )


def _budget(
    track: Track, full: Runs, found: Sequence[Found], pool: Scored, known: Halves | None
) -> Reliability:
    """Return the figures of one kind and size; `known` are its correlations where they are."""
    seeds, families = known or _halves(track, full, found, pool)
    random = [one for one in found if one.random]
    parts = None
    if len(random) > 1 and pool.entries:
        parts = variance_components(np.moveaxis(subset_scores(track, pool, random), 0, 1))
    kind, size = found[0].stratum
    return Reliability.model_validate(
        {
            "kind": kind,
            "size": size,
            "subsets": len(found),
            "seeds": seeds.correlation if seeds else None,
            "families": families.correlation if families else None,
            "components": parts
            and Components(
                method=parts.method,
                seed=parts.seed,
                subset_draw=parts.subset_draw,
                method_by_subset=parts.method_by_subset,
            ),
        }
    )


def _doubts(what: str, seeds: float | None, families: float | None) -> list[str]:
    """Return why subsets are not ranked, in words."""
    found = []
    for over, value in (("seeds", seeds), ("families", families)):
        if value is None:
            found.append(f"the split-half correlation of τ over {over} cannot be told for {what}")
        elif value < RELIABLE:
            found.append(
                f"the split-half correlation of τ over {over} is {value:.2f} for {what}, below "
                f"{RELIABLE}"
            )
    return found
