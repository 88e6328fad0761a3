"""Points lost by choosing on proxies, against the plain definitions."""

from itertools import combinations

import numpy as np
import pytest

from lotterybench.ranking.decision import Stage, points_lost
from lotterybench.ranking.regret import promote, regret, successive_halving

FAMILIES = np.repeat(np.arange(8), 2)
N = len(FAMILIES)


@pytest.fixture
def full():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 1)) * 3 + rng.normal(size=(N, 4))


def test_one_stage_of_one_is_the_regret(full):
    """With four full seeds there are six halves, so all are taken."""
    proxies = np.random.default_rng(1).normal(size=(5, N))
    expected = np.mean([regret(full, proxy).lost for proxy in proxies])
    found = points_lost(full, [Stage(proxies, 1)], FAMILIES, np.random.default_rng(2), 50)
    assert found.lost == pytest.approx(expected)


def test_three_promoted_and_halving_are_those_of_single_proxies(full):
    rng = np.random.default_rng(3)
    proxies, later = rng.normal(size=(2, 4, N))
    three = points_lost(full, [Stage(proxies, 3)], FAMILIES, np.random.default_rng(2), 20)
    assert three.lost == pytest.approx(np.mean([promote(full, p, rng) for p in proxies]))
    stages = [Stage(proxies, 0.5), Stage(later, 0.5)]
    halved = points_lost(full, stages, FAMILIES, np.random.default_rng(2), 20)
    expected = [successive_halving(full, pair, rng) for pair in zip(proxies, later, strict=True)]
    assert halved.lost == pytest.approx(np.mean(expected))


def test_full_data_as_the_proxy_lose_what_their_halves_do(full):
    """A perfect proxy of noise-free scores loses nothing."""
    exact = np.repeat(full.mean(axis=1, keepdims=True), 4, axis=1)
    proxies = exact[:, 0][None]
    for keep in (1, 3, 0.5):
        found = points_lost(exact, [Stage(proxies, keep)], FAMILIES, np.random.default_rng(0), 100)
        assert found.lost == pytest.approx(0, abs=1e-9)
        assert found.bounds == pytest.approx((0, 0), abs=1e-9)


def test_the_worst_proxy_loses_the_most_and_bounds_are_of_drawn_pools(full):
    exact = np.repeat(full.mean(axis=1, keepdims=True), 2, axis=1)
    worst = -exact[:, 0][None]
    found = points_lost(exact, [Stage(worst, 1)], FAMILIES, np.random.default_rng(0), 400)
    assert found.lost == pytest.approx(np.ptp(exact[:, 0]))
    most = max(np.ptp(exact[np.isin(FAMILIES, chosen), 0]) for chosen in combinations(range(8), 6))
    assert 0 < found.bounds.low < found.bounds.high <= max(most, found.lost) + 1e-9


def test_tied_proxies_lose_the_expectation():
    exact = np.repeat(np.arange(N, dtype=float)[:, None], 2, axis=1)
    tied = np.zeros((4_000, N))
    found = points_lost(exact, [Stage(tied, 1)], FAMILIES, np.random.default_rng(0), 5)
    assert found.lost == pytest.approx(np.arange(N).max() - np.arange(N).mean(), abs=0.2)


def test_failures_are_never_chosen(full):
    proxies = np.full((1, N), -np.inf)
    proxies[0, 4] = -5.0
    found = points_lost(full, [Stage(proxies, 1)], FAMILIES, np.random.default_rng(0), 5)
    assert found.lost == pytest.approx(regret(full, proxies[0]).lost)


def test_too_little_to_say(full):
    rng = np.random.default_rng(0)
    stage = [Stage(full[:, 0][None], 1)]
    assert points_lost(full[:, :1], stage, FAMILIES, rng) is None
    few = points_lost(full, stage, np.arange(N) % 5, rng, 10)
    assert few.bounds is None
