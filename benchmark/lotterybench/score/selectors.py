"""Selectors as procedures: the mean τ of several draws, and every two compared (protocol §5, §9).

A manifest's τ is that of one draw; a selector that draws at random is scored by five at least.
Only subsets that are tested on the same images are compared (protocol §7).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from lotterybench.nulls import MATCHED, RANDOM
from lotterybench.ranking import Floats, kendall_tau
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.null import MIN_DRAWS, holm, selector_tau, t_test
from lotterybench.ranking.resampling import pairwise_differences
from lotterybench.records import Subset
from lotterybench.results import scope
from lotterybench.score.arms import Found
from lotterybench.score.fidelity import BOOTSTRAP_SEED
from lotterybench.score.frontier import interval
from lotterybench.score.pool import Runs, Scored
from lotterybench.score.ranked import shared_pool, subset_scores
from lotterybench.selection import selector
from lotterybench.standings import Difference, Selectors, SelectorScore
from lotterybench.trials import Track

Groups = dict[str, list[Found]]  # a selector's draws of one size, by its label


def selectors(track: Track, full: Runs, found: Sequence[Found]) -> Selectors | None:
    """Score a track's selectors, size by size, on configurations that all of a size share.

    `found` are the subsets whose planned runs are all there; None where no named one of them is
    another selector's than the null's.
    """
    scores, differences = [], []
    for stratum in dict.fromkeys(one.stratum for one in found):
        same = [one for one in found if one.stratum == stratum]
        groups = _groups(same)
        if groups:
            pool = shared_pool(track, full, [one for draws in groups.values() for one in draws])
            some, pairs = _of_size(track, full, pool, groups, [one for one in same if one.random])
            scores += some
            differences += pairs
    return Selectors(scores=scores, differences=differences) if scores else None


def label(subset: Subset) -> str:
    """Return a selector with the settings that it was given, as `el2n easiest=true`."""
    given = [f"{name}={json.dumps(value)}" for name, value in sorted(subset.settings.items())]
    return " ".join([subset.selector, *given])


def draws_at_random(subset: Subset) -> bool:
    """Say whether another seed of the subset's selector selects otherwise."""
    return subset.selector in selector and selector[subset.selector].random


def _groups(found: Sequence[Found]) -> Groups:
    """Return the named subsets by their selector, without the null's own selectors."""
    groups: Groups = {}
    for one in found:
        if one.named and one.subset.selector not in (*RANDOM.values(), MATCHED):
            groups.setdefault(label(one.subset), []).append(one)
    return dict(sorted(groups.items()))


def _of_size(
    track: Track, full: Runs, pool: Scored, groups: Groups, null: Sequence[Found]
) -> tuple[list[SelectorScore], list[Difference]]:
    """Return the scores of the selectors of one size, and their differences."""
    if len(pool.entries) < 2:
        return [], []
    x = seed_means(pool.scores(full, track.metric, full=True))
    means = {name: seed_means(subset_scores(track, pool, draws)) for name, draws in groups.items()}
    beside = seed_means(subset_scores(track, pool, null)) if null else np.empty((0, len(x)))
    taus = [kendall_tau(x, y) for y in beside]
    scores = [_score(name, draws, x, means[name], taus) for name, draws in groups.items()]
    tested = [place for place, one in enumerate(scores) if one.p_t is not None]
    adjusted = holm([scores[place].p_t or 0.0 for place in tested]) if tested else []
    for place, p in zip(tested, adjusted, strict=True):
        scores[place] = scores[place].model_copy(update={"p_holm": p})
    alike = all(scope(track, draws[0].subset) == "full" for draws in groups.values())
    arms = {one.selector: means[one.selector] for one in scores if one.tau is not None}
    return scores, _differences(x, arms, pool) if alike else []


def _score(
    name: str, draws: Sequence[Found], x: Floats, means: Floats, null: Sequence[float | None]
) -> SelectorScore:
    taus = [kendall_tau(x, y) for y in means]
    random = draws_at_random(draws[0].subset)
    few = random and len(draws) < MIN_DRAWS
    tau = selector_tau(taus, fewest=MIN_DRAWS if random else 1)
    test = t_test(taus, null, len(x)) if random and not few else None
    kind, size = draws[0].stratum
    return SelectorScore.model_validate(
        {
            "selector": name, "kind": kind, "size": size, "random": random,
            "subsets": [one.subset.ref for one in draws], "tau": tau,
            "p_t": test.p if test else None,
            "why": f"{len(draws)} of {MIN_DRAWS} draws (protocol §5)" if few else "",
        }
    )  # fmt: skip


def _differences(x: Floats, arms: dict[str, Floats], pool: Scored) -> list[Difference]:
    """Compare every two selectors that have a τ, by family bootstrap with Holm (protocol §9)."""
    names = list(arms)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    pairs = pairwise_differences(x, list(arms.values()), pool.groups, rng)
    adjusted = holm([pair.p for pair in pairs.values()]) if pairs else []
    return [
        Difference(
            one=names[i], other=names[j], difference=pair.difference, p=pair.p, p_holm=p,
            interval=interval(pair.bounds),
        )
        for ((i, j), pair), p in zip(pairs.items(), adjusted, strict=True)
    ]  # fmt: skip
