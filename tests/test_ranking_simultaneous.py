"""Statements about all subsets at once, against scipy, by construction and by simulation."""

import numpy as np
import pytest
from scipy import stats

from lotterybench.ranking.resampling import bootstrap, family_draws
from lotterybench.ranking.simultaneous import (
    Draws,
    best_set,
    p_falls_short,
    p_reaches,
    retest,
    simultaneous_lower,
    tau_draws,
)

MANY = 10**9
FAMILIES = np.repeat(np.arange(8), 3)


def proxies(rng, noises):
    truth = rng.normal(size=len(FAMILIES))
    return truth, np.stack([truth + noise * rng.normal(size=len(truth)) for noise in noises])


def test_draws_are_those_of_the_family_bootstrap():
    x, ys = proxies(np.random.default_rng(0), [0.1, 0.5, 2.0])
    ys[1] = np.round(ys[1])  # ties
    found = tau_draws(x, ys, FAMILIES, np.random.default_rng(3), draws=2_000)
    for k, y in enumerate(ys):
        assert found.tau[k] == pytest.approx(stats.kendalltau(x, y).statistic)
        alone = bootstrap(x, y, FAMILIES, np.random.default_rng(3), draws=2_000)
        assert np.percentile(found.drawn[:, k], [5, 95]) == pytest.approx(alone)
    weights = family_draws(FAMILIES, np.random.default_rng(3), 2_000)
    rows = np.repeat(np.arange(len(x)), weights[7].astype(int))
    pairs = [(i, j) for i in rows for j in rows if i != j]
    top = sum(np.sign(x[i] - x[j]) * np.sign(ys[0][i] - ys[0][j]) for i, j in pairs)
    assert found.drawn[7, 0] == pytest.approx(top / len(pairs))


def test_one_subset_has_a_plain_bound_and_more_have_lower_ones():
    rng = np.random.default_rng(1)
    drawn = rng.normal(0.8, 0.05, (50_000, 40))
    found = Draws(np.full(40, 0.8), drawn)
    alone = simultaneous_lower(Draws(found.tau[:1], drawn[:, :1]), MANY)
    assert alone[0] == pytest.approx(0.8 - 1.645 * 0.05, abs=0.002)
    together = simultaneous_lower(found, MANY)
    exact = stats.norm.ppf(0.95 ** (1 / 40))  # 40 independent ones
    assert together == pytest.approx(0.8 - exact * 0.05, abs=0.006)
    copies = simultaneous_lower(Draws(found.tau, np.repeat(drawn[:, :1], 40, axis=1)), MANY)
    assert copies == pytest.approx(alone[0])  # what moves together costs nothing


def test_a_constant_subset_needs_no_margin():
    found = Draws(np.array([1.0, 0.5]), np.column_stack([np.ones(99), np.linspace(0.3, 0.7, 99)]))
    assert simultaneous_lower(found, MANY)[0] == 1.0


def test_few_families_widen_bounds_as_students_t_does():
    rng = np.random.default_rng(9)
    found = Draws(np.zeros(1), rng.normal(size=(50_000, 1)))
    many, few = (simultaneous_lower(found, families)[0] for families in (MANY, 10))
    assert few / many == pytest.approx(stats.t.isf(0.05, 9) / 1.645 * (10 / 9) ** 0.5, rel=1e-3)


def test_resamples_keep_all_bounds_as_often_as_said():
    rng = np.random.default_rng(10)
    drawn = rng.gamma(2.0, size=(10_000, 30)) * np.linspace(0.1, 3, 30)
    lower = simultaneous_lower(Draws(drawn.mean(axis=0), drawn), MANY)
    assert (drawn >= lower).all(axis=1).mean() == pytest.approx(0.95, abs=0.002)
    each = (drawn < lower).mean(axis=0)
    assert each.max() - each.min() < 1e-9  # balanced: every subset is missed equally often


def test_bounds_hold_for_all_at_once_in_normal_theory():
    """Of 400 experiments with 30 correlated estimates, at most 5 % miss any truth."""
    rng, missed, size = np.random.default_rng(2), 0, 30
    root = np.linalg.cholesky(0.5 * np.eye(size) + 0.5)
    for _ in range(400):
        tau = root @ rng.normal(size=size)
        drawn = tau + (root @ rng.normal(size=(size, 400))).T
        missed += bool((simultaneous_lower(Draws(tau, drawn), MANY) > 0).any())
    assert 0.02 < missed / 400 < 0.09


def test_the_set_of_the_best_keeps_equals_and_drops_the_worse():
    rng = np.random.default_rng(4)
    noise = rng.normal(scale=0.02, size=(5_000, 6))
    equal = Draws(np.full(6, 0.8), 0.8 + noise)
    assert best_set(equal).all()
    tau = np.array([0.8, 0.8, 0.79, 0.6, 0.5, 0.4])
    assert best_set(Draws(tau, tau + noise)).tolist() == [True, True, True, False, False, False]
    assert best_set(Draws(tau[:1], (tau + noise)[:, :1])).tolist() == [True]


def test_the_set_of_the_best_holds_the_best_in_repeated_experiments():
    rng, held, truth = np.random.default_rng(5), 0, np.array([0.8, 0.78, 0.78, 0.75, 0.7])
    for _ in range(300):
        tau = truth + rng.normal(scale=0.03, size=5)
        drawn = tau + rng.normal(scale=0.03, size=(400, 5))
        held += bool(best_set(Draws(tau, drawn))[0])
    assert held / 300 > 0.92


def test_p_values_turn_where_the_percentile_bound_crosses():
    drawn = np.linspace(0.6, 0.8, 999)[:, None]
    found = Draws(np.array([0.7]), drawn)
    low, high = np.percentile(drawn, [5, 95])
    assert p_reaches(found, low - 0.001)[0] < 0.05 < p_reaches(found, low + 0.002)[0]
    assert p_falls_short(found, high + 0.001)[0] < 0.05 < p_falls_short(found, high - 0.002)[0]
    assert p_reaches(found, -1.0)[0] == pytest.approx(1 / 1000)


def test_retest_is_chance_without_a_difference_and_one_with():
    rng = np.random.default_rng(6)
    tau = rng.normal(size=250)
    assert retest(tau, tau) == 1
    by_chance = [retest(rng.normal(size=250), rng.normal(size=250)) for _ in range(300)]
    assert np.mean(by_chance) == pytest.approx(0.1, abs=0.02)


def test_gains_are_against_the_mean_of_the_same_resample():
    found = Draws(np.array([0.2, 0.4]), np.array([[0.1, 0.5], [0.3, 0.3]]))
    assert found.gain.tau == pytest.approx([-0.1, 0.1])
    assert found.gain.drawn == pytest.approx(np.array([[-0.2, 0.2], [0.0, 0.0]]))
