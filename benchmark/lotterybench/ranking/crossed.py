"""τ-b of two scores of the same runs, on disjoint halves of their seeds.

What one training gives in two tests shares its noise. So each side takes the seeds that the other
does not (protocol §1: no two sides share noise), and both ways are averaged.
"""

import numpy as np

from lotterybench.ranking.base.arrays import (
    DRAWS,
    Bounds,
    Floats,
    Ints,
    halves,
    mean_defined,
    percentiles,
    seed_means,
)
from lotterybench.ranking.base.kernels import correlations, tau_rows
from lotterybench.ranking.resampling import family_draws, few

SPLITS = 10  # all of six seeds; of more, ten in even steps


def crossed_tau(one: Floats, other: Floats) -> float | None:
    """Return the mean τ-b of scores (n, seeds) with others (n, seeds) of the same runs.

    Over splits of the seeds into halves, in both directions. Each side has half of the seeds, as
    in the repeat ceiling, with which it compares. None with one seed or where it is undefined.
    """
    sides = _sides(one, other)
    if sides is None or len(one) < 2:
        return None
    return mean_defined(correlations(*sides).tau)


def crossed_interval(
    one: Floats, other: Floats, families: Ints, rng: np.random.Generator, draws: int = DRAWS
) -> Bounds | None:
    """Return the interval of `crossed_tau` by resampling whole families; None below six of them.

    `families` (n,) numbers each entry's family from 0. Draws that leave a split undefined are
    left out.
    """
    sides = _sides(one, other)
    if sides is None or few(families):
        return None
    weights = family_draws(families, rng, draws)
    taus = [tau_rows(weights, x, y) for x, y in zip(*sides, strict=True)]
    return percentiles(np.mean(taus, axis=0))


def _sides(one: Floats, other: Floats) -> tuple[Floats, Floats] | None:
    """Return seed means (2 × splits, n) of both sides; None where seeds cannot be halved."""
    splits = halves(one.shape[1])
    splits = splits[:: -(-len(splits) // SPLITS)] if splits else []
    pairs = [pair for a, b in splits for pair in ((a, b), (b, a))]
    if not pairs:
        return None
    x, y = (
        np.stack([seed_means(side[:, pair[place]]) for pair in pairs])
        for place, side in enumerate((one, other))
    )
    return x, y
