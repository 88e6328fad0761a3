"""Training on fewer classes and testing on fewer classes, apart, in an enumeration."""

from __future__ import annotations

import numpy as np

from lotterybench.enumerations import Classes, Spread
from lotterybench.kinds.exact import Exact
from lotterybench.ranking import Floats
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.base.kernels import correlations


def classes_of(full: Exact, subsets: Exact, tau: Floats) -> Classes | None:
    """Return the rows of protocol §7 for all subsets (K) of a size, whose own τ is (K,).

    Full-data networks are tested on half of the repeats and compared with full scores of the other
    half, both ways, so that the two share no seed. None without the record of outranking classes,
    or with one repeat.
    """
    if full.outranked is None or full.labels is None or full.outranked.shape[1] < 2:
        return None
    whole = (1 << len(np.unique(full.labels))) - 1
    everything = restricted(full, whole)
    tested = np.stack([restricted(full, int(subset)) for subset in subsets.subsets])
    half = everything.shape[1] // 2
    sides = slice(0, half), slice(half, 2 * half)
    alone = np.mean(
        [
            correlations(
                everything[:, one].mean(axis=1).round(9), tested[..., other].mean(axis=2).round(9)
            ).tau
            for one, other in (sides, sides[::-1])
        ],
        axis=0,
    )
    own = seed_means(subsets.correct.astype(np.float64) / subsets.totals)
    rest = [whole & ~int(subset) for subset in subsets.subsets]
    disjoint = None
    if min(each.bit_count() for each in rest) > 1:
        others = np.stack([restricted(full, each).mean(axis=1).round(9) for each in rest])
        disjoint = _spread(correlations(others, own).tau)
    known = np.isfinite(alone) & np.isfinite(tau)
    predicts = None
    if known.sum() > 2 and alone[known].std() > 0 and tau[known].std() > 0:
        predicts = float(np.corrcoef(alone[known], tau[known])[0, 1])
    return Classes(evaluation_only=_spread(alone), disjoint=disjoint, predicts=predicts)


def restricted(full: Exact, subset: int) -> Floats:
    """Return accuracies (configurations, repeats) of full-data networks on a subset's classes.

    Only the logits of these classes count.
    """
    assert full.outranked is not None and full.labels is not None
    inside = (subset >> full.labels) & 1 == 1
    right: Floats = ((full.outranked[..., inside] & subset) == 0).mean(axis=2)
    return right


def items(full: Exact) -> Floats | None:
    """Return how often each configuration names each image rightly, (configurations, images)."""
    if full.outranked is None:
        return None
    found: Floats = (full.outranked == 0).mean(axis=1)
    return found


def _spread(tau: Floats) -> Spread:
    low, high = np.nanpercentile(tau, [5, 95])
    return Spread(mean=float(np.nanmean(tau)), low=float(low), high=float(high))
