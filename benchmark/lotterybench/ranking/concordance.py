"""Do several judges rank alike? Mean ranks and Kendall's W."""

from typing import NamedTuple

import numpy as np

from lotterybench.ranking.base.arrays import Floats


class Concordance(NamedTuple):
    """The mean rank of each entry (entries,), 1 the best, and Kendall's W; None where undefined."""

    ranks: Floats
    w: float | None


def concordance(scores: Floats) -> Concordance:
    """Rank entries by each judge's scores (judges, entries), higher is better; ties share ranks.

    W is 1 if all rank alike, and 1 / judges on average by chance; corrected for ties, so that it
    is the mean of Spearman's ρ over all pairs of judges, raised to (1 + (judges − 1) ρ) / judges,
    where no judge has ties. Undefined for fewer than two judges or entries, and if each judge
    ties all. Source: Kendall and Babington Smith (1939).
    """
    from scipy.stats import rankdata

    judges, entries = scores.shape
    ranks = np.stack([rankdata(-np.round(row, 9)) for row in scores])
    mean: Floats = ranks.mean(axis=0)
    if judges < 2 or entries < 2:
        return Concordance(mean, None)
    sums = ranks.sum(axis=0)
    spread = float(((sums - sums.mean()) ** 2).sum())
    _, tied = zip(*(np.unique(row, return_counts=True) for row in ranks), strict=True)
    ties = sum(float((counts.astype(np.float64) ** 3 - counts).sum()) for counts in tied)
    whole = judges**2 * (entries**3 - entries) - judges * ties
    return Concordance(mean, 12 * spread / whole if whole > 0 else None)
