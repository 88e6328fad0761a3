"""Better than random? Rank p, t tests of atanh τ, Holm, selectors averaged, uneven classes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lotterybench.errors import BadRequest
from lotterybench.ranking.base.arrays import Floats, Ints, number_of_pairs

MIN_NULL = 20  # random subsets (protocol §5)
MIN_NULL_PRIMARY = 39  # at the primary budget
MIN_DRAWS = 5  # of a random-type selector
UNEVEN = 0.01  # level of the test of class counts below which a subset has a second null


class TTest(NamedTuple):
    """A one-sided t test: its statistic and p."""

    t: float
    p: float


def enough(primary: bool) -> int:
    """Return how many random subsets a ticket needs: more at the primary budget (protocol §5)."""
    return MIN_NULL_PRIMARY if primary else MIN_NULL


def uneven(counts: Ints, there: Ints) -> bool:
    """Say whether class counts (C,) of a subset are neither balanced nor those of a random one.

    `there` (C,) are the base's. Balanced: they differ by one at most, save for classes that are
    used up. Random: Pearson's χ² against the base's shares, times (N − 1) / (N − n) since samples
    are drawn without replacement, is not above the 99 % point of χ² with C − 1 degrees of freedom.
    Ours; protocol §5 asks such a subset for a null matched on its counts.
    """
    counts, there = counts[there > 0], there[there > 0]
    if not (counts < np.minimum(there, counts.max() - 1)).any():
        return False
    n, whole = int(counts.sum()), int(there.sum())
    if n == whole or len(there) < 2:
        return False
    from scipy.stats import chi2

    expected = n * there / whole
    statistic = float(((counts - expected) ** 2 / expected).sum()) * (whole - 1) / (whole - n)
    return float(chi2.sf(statistic, len(there) - 1)) < UNEVEN


def rank_p(tau: float | None, null: Sequence[float | None]) -> float | None:
    """Return p = (1 + #{τ_b ≥ τ_S}) / (B + 1) of a subset among B random ones (protocol §5).

    A random subset whose τ is undefined counts as one that is as good, which can only raise p;
    None if the subset's own τ is undefined or there is no random one.
    """
    if tau is None or not null:
        return None
    return (1 + sum(other is None or other >= tau for other in null)) / (len(null) + 1)


def t_test(
    selected: Sequence[float | None], null: Sequence[float | None], configurations: int
) -> TTest | None:
    """Test a selector's τ against those of random subsets, t = (z_S − z̄) / (s_z √(1/k + 1/B)).

    z = atanh τ, with B − 1 degrees of freedom; one-sided, large τ is better. `selected` holds the
    k draws of a random-type selector, whose z are averaged, or the one τ of a manifest (k = 1:
    the protocol's √(1 + 1/B)). τ = ±1 has no z: |τ| is cut at 1 − 1/P with P = n (n − 1) / 2
    pairs, half-way from 1 to the next value that untied ranks can take. None where a τ is
    undefined, with fewer than two random subsets, or if those do not differ. Protocol §5.
    """
    if None in selected or None in null or not selected or len(null) < 2:
        return None
    z, others = (
        fisher_z(np.array(list(side), dtype=np.float64), configurations)
        for side in (selected, null)
    )
    sd = float(others.std(ddof=1))
    if sd < 1e-12:
        return None
    from scipy.stats import t as student

    t = float(z.mean() - others.mean()) / (sd * (1 / len(z) + 1 / len(others)) ** 0.5)
    return TTest(t, float(student.sf(t, len(others) - 1)))


def fisher_z(tau: Floats, configurations: int) -> Floats:
    """Return atanh τ, |τ| cut at 1 − 1 / P for the P pairs of so many configurations."""
    pairs = number_of_pairs(configurations)
    if pairs == 0:
        raise BadRequest(f"{configurations} configurations have no pair to rank; give 2 or more")
    most = 1 - 1 / max(pairs, 2)
    found: Floats = np.arctanh(np.clip(tau, -most, most))
    return found


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given. Source: Holm (1979)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * (len(values) - np.arange(len(values)))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(value) for value in adjusted]


def selector_tau(draws: Sequence[float | None], fewest: int = MIN_DRAWS) -> float | None:
    """Return a selector's τ: the mean over its draws (protocol §5).

    None for fewer than `fewest` draws, 5 of a selector that draws at random, or where one is
    undefined.
    """
    defined = [tau for tau in draws if tau is not None]
    if len(draws) < fewest or len(defined) < len(draws):
        return None
    return float(np.mean(defined))
