"""Statements about all subsets of a population at once: how often they are true."""

from typing import Any, NamedTuple

import numpy as np
from simulated import SEED, scores, share

from lotterybench.ranking.base.arrays import Floats, seed_means
from lotterybench.ranking.base.gaussian import Pool, proxy_of
from lotterybench.ranking.base.kernels import correlations
from lotterybench.ranking.simultaneous import best_set, simultaneous_lower, tau_draws

POOL = Pool(18, 3, 0.5)
SEEDS = (36, 3)


class Population(NamedTuple):
    """Noise-free τ of most subsets and of some better ones, and q on both sides."""

    subsets: int
    better: int
    tau: float
    best: float
    q: tuple[float, float]

    def words(self) -> str:
        """Say what is simulated, in a table's cell."""
        some = f"{self.better} of them τ {self.best:g}" if self.better else "all alike"
        q = f"q {self.q[0]:g}/{self.q[1]:g}"
        return f"{self.subsets} subsets, τ {self.tau:g}, {some}; {q}"

    @property
    def taus(self) -> Floats:
        """Each subset's noise-free τ."""
        taus = np.full(self.subsets, self.tau)
        taus[: self.better] = self.best
        return taus


POPULATIONS = [
    Population(60, 0, 0.9, 0.9, (0.2, 0.4)),
    Population(60, 0, 0.7, 0.7, (0.4, 0.5)),
    Population(60, 3, 0.8, 0.98, (0.1, 0.25)),
]


def together(quick: bool) -> list[dict[str, Any]]:
    """Return a row per population."""
    runs, draws = (3, 100) if quick else (200, 1_000)
    found = []
    for number, population in enumerate(POPULATIONS[:1] if quick else POPULATIONS):
        rng = np.random.default_rng([SEED, 6, number])
        truth = expected(population, rng, 20 if quick else 1_000)
        gains = truth - truth.mean()
        rows = []
        for _ in range(runs):
            full, subsets = simulated(population, rng)
            drawn = tau_draws(full, subsets, np.repeat(np.arange(18), 3), rng, draws)
            low, gain = (simultaneous_lower(one, POOL.families) for one in (drawn, drawn.gain))
            best = best_set(drawn)
            exists = (gain > 0) & (low >= 0.7)
            rows.append(
                (
                    (low <= truth + 1e-12).all(),
                    (gain <= gains + 1e-12).all(),
                    best[0],
                    best.mean(),
                    exists.any(),
                    drawn.tau.max() - truth.max(),
                )
            )
        held, gained, inside, size, exists, above = zip(*rows, strict=True)
        found.append(
            {
                "population": population.words(),
                "expected τ": round(float(truth[0]), 3),
                "bounds of τ": share(held),
                "bounds of the gain": share(gained),
                "the best is in its set": share(inside),
                "size of the set": round(float(np.mean(size)), 2),
                "called better": share(exists),
                "observed best less true best": round(float(np.mean(above)), 3),
            }
        )
    return found


def simulated(population: Population, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return seed means on full data (n,) and on every subset (K, n)."""
    truth = POOL.effects(rng, 1)
    full = seed_means(scores(rng, truth, population.q[0], SEEDS[0]))[0]
    proxies = [proxy_of(truth, tau, POOL, rng) for tau in population.taus]
    subsets = [seed_means(scores(rng, each, population.q[1], SEEDS[1]))[0] for each in proxies]
    return full, np.stack(subsets)


def expected(population: Population, rng: np.random.Generator, pools: int) -> Floats:
    """Return each subset's expected τ (K,), equal for those of equal noise-free τ."""
    taus = np.stack([correlations(*simulated(population, rng)).tau for _ in range(pools)])
    found = np.empty(population.subsets)
    for value in set(population.taus):
        alike = population.taus == value
        found[alike] = taus[:, alike].mean()
    return found
