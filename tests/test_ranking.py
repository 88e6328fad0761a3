"""Rank statistics against scipy and brute force, with ties, and under resampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lotterybench.ranking import bootstrap, kendall_tau, rank_intervals, spearman_rho

# Few distinct values, so that ties are common.
VECTORS = st.integers(2, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 5), min_size=n, max_size=n)] * 2)
)


def floats(values):
    return np.array(values, dtype=np.float64)


@given(VECTORS)
def test_against_scipy(pair):
    x, y = map(floats, pair)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert kendall_tau(x, y) is None
        assert spearman_rho(x, y) is None
        return
    assert kendall_tau(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert spearman_rho(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@given(VECTORS)
def test_tau_against_counting(pair):
    x, y = map(floats, pair)
    agree = disagree = tied_x = tied_y = 0
    for i in range(len(x)):
        for j in range(i):
            product = np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
            agree, disagree = agree + (product > 0), disagree + (product < 0)
            tied_x, tied_y = tied_x + (x[i] == x[j]), tied_y + (y[i] == y[j])
    pairs = len(x) * (len(x) - 1) / 2
    below = (pairs - tied_x) * (pairs - tied_y)
    found = kendall_tau(x, y)
    assert found is None if below == 0 else found == pytest.approx((agree - disagree) / below**0.5)


@pytest.mark.parametrize("statistic", [kendall_tau, spearman_rho])
def test_ends_and_undefined(statistic):
    x = floats([3, 1, 4, 1.5, 9])
    assert statistic(x, x) == 1
    assert statistic(x, -x) == -1
    assert statistic(x, np.zeros(5)) is None
    assert statistic(np.zeros(5), np.zeros(5)) is None


@given(VECTORS, st.permutations(range(12)))
def test_invariances(pair, order):
    x, y = map(floats, pair)
    order = [place for place in order if place < len(x)]
    tau = kendall_tau(x, y)
    assert kendall_tau(y, x) == (None if tau is None else pytest.approx(tau))
    assert kendall_tau(x[order], y[order]) == (None if tau is None else pytest.approx(tau))
    assert kendall_tau(np.exp(x), y) == (None if tau is None else pytest.approx(tau))


def test_failed_entries_rank_last_and_tie():
    full = floats([1, 2, 3, 4])
    assert kendall_tau(full, floats([-np.inf, 5, 6, 7])) == 1
    two_failed = kendall_tau(full, floats([-np.inf, -np.inf, 6, 7]))
    assert two_failed == pytest.approx(stats.kendalltau(full, [0, 0, 6, 7]).statistic)


def brute_bootstrap(x, y, families, rng, draws):
    """Resample families one draw at a time; keep only pairs of different originals."""
    count = families.max() + 1
    values = []
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    for counts in drawn:
        picked = [i for i, family in enumerate(families) for _ in range(counts[family])]
        top = tied_x = tied_y = 0.0
        for a in range(len(picked)):
            for b in range(a):
                i, j = picked[a], picked[b]
                if i != j:
                    sx, sy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
                    top, tied_x, tied_y = top + sx * sy, tied_x + sx**2, tied_y + sy**2
        if tied_x and tied_y:
            values.append(top / np.sqrt(tied_x * tied_y))
    return np.percentile(values, [5, 95])


def test_bootstrap_against_one_draw_at_a_time():
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    y = x + rng.normal(size=12)
    y[3] = y[7]
    families = np.repeat(np.arange(6), 2)
    fast = bootstrap(x, y, families, np.random.default_rng(1), draws=200)
    slow = brute_bootstrap(x, y, families, np.random.default_rng(1), 200)
    assert fast == pytest.approx(tuple(slow), abs=1e-12)


def test_bootstrap_of_rho_against_copies():
    """ρ of a resample is ρ of the copied entries, whose ties share mid-ranks."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=8), rng.normal(size=8)
    families = np.arange(8)
    drawn = np.random.default_rng(1).multinomial(8, np.full(8, 1 / 8), size=300)
    slow = [stats.spearmanr(np.repeat(x, w), np.repeat(y, w)).statistic for w in drawn]
    fast = bootstrap(x, y, families, np.random.default_rng(1), statistic="rho", draws=300)
    assert fast == pytest.approx(tuple(np.percentile(slow, [5, 95])), abs=1e-12)


def test_generator_decides():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=20), rng.normal(size=20)
    families = np.repeat(np.arange(10), 2)

    def bounds(seed):
        return bootstrap(x, y, families, np.random.default_rng(seed), draws=500)

    assert bounds(1) == bounds(1)
    assert bounds(1) != bounds(2)


def test_undefined_bootstrap_is_none():
    assert bootstrap(np.zeros(6), np.arange(6.0), np.arange(6), np.random.default_rng(0)) is None


def test_family_interval_is_wider_than_configurations():
    """Copies of a family move together, so resampling entries alone pretends to know more."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=8)
    x = np.repeat(centre, 3) + rng.normal(size=24) * 0.05
    y = np.repeat(centre + rng.normal(size=8), 3) + rng.normal(size=24) * 0.05
    family = bootstrap(x, y, np.repeat(np.arange(8), 3), np.random.default_rng(1))
    entries = bootstrap(x, y, np.arange(24), np.random.default_rng(1))
    assert family.high - family.low > entries.high - entries.low


@pytest.mark.slow
def test_family_interval_covers():
    """New families: the 5 % bound lies below the expected τ about 95 times in 100 (n = 300)."""
    rng = np.random.default_rng(0)

    def sample(families):
        centre = rng.normal(size=families)
        x = np.repeat(centre, 2) + 0.3 * rng.normal(size=2 * families)
        y = np.repeat(centre + 0.5 * rng.normal(size=families), 2)
        return x, y + 0.3 * rng.normal(size=2 * families)

    truth = np.mean([kendall_tau(*sample(12)) for _ in range(4_000)])
    below = [
        bootstrap(*sample(12), np.repeat(np.arange(12), 2), rng, draws=1_000).low <= truth
        for _ in range(300)
    ]
    assert 0.90 <= np.mean(below) <= 1.0


def test_rank_intervals():
    scores = floats([[9, 9.5], [8, 8.2], [8.1, 8.3], [1, 8.15]])
    assert rank_intervals(scores).tolist() == [[1, 1], [2, 4], [2, 4], [2, 4]]
    assert rank_intervals(floats([[1], [2], [3]])).tolist() == [[3, 3], [2, 2], [1, 1]]
