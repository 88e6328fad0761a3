"""Selectors that cover: k-center, diversity, herding, submodular greedy, kernel thinning."""

import json
import math
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pools import softmax, toy_pool

from lotterybench.errors import BadRequest
from lotterybench.selection import Pool, selector
from lotterybench.selection.base import facility
from lotterybench.selection.base.facility import Search, Whole, greedy, maximise, maximise_sampled
from lotterybench.selection.base.kernels import Gaussian
from lotterybench.selection.base.lazy import CANDIDATES, balance
from lotterybench.selection.kernel_thinning import walk
from lotterybench.signals import Arrays

rng = np.random.default_rng
COUNT, SIZE = 3 * CANDIDATES, 150  # more samples than a block looks at, more picks than it takes
ALL = [
    "k-center", "contextual-diversity", "herding", "facility-location", "graph-cut",
    "log-determinant", "kernel-thinning",
]  # fmt: skip


def pool_of(embedding, predictions=None):
    """Return a pool of one class with these embeddings and predictions."""
    held = np.full((len(embedding), 2), 0.5) if predictions is None else predictions
    signals = Arrays({}, {"embedding": embedding, "held_out": held})
    return Pool(np.zeros(len(embedding), np.int64), 1, signals)


def clustered(count=COUNT, dims=12, seed=0):
    """Return float32 embeddings in ten clusters of unequal width."""
    noise = rng(seed)
    labels = noise.integers(0, 10, count)
    spread = noise.uniform(0.2, 1.5, 10)[labels][:, None]
    points = noise.normal(size=(10, dims))[labels] + spread * noise.normal(size=(count, dims))
    return points.astype(np.float32)


POINTS = clustered()
LOGITS = rng(1).normal(size=(COUNT, 6)) * 3
POOL = pool_of(POINTS, softmax(LOGITS))


def pick(name, pool=POOL, size=SIZE, seed=0, **settings):
    return selector[name](pool, size, rng(seed), **settings)


def randoms(size=SIZE, count=COUNT):
    return [rng(seed).permutation(count)[:size] for seed in range(20)]


def cosines(points):
    unit = points.astype(np.float64) / np.linalg.norm(points, axis=1, keepdims=True)
    return (1 + unit @ unit.T) / 2


def squared(points):
    """Return squared distances in float64."""
    p = points.astype(np.float64)
    return ((p[:, None] - p[None]) ** 2).sum(-1)


def divergences(p):
    """Return symmetric divergences of predictions, pair by pair."""
    p = np.maximum(p.astype(np.float32), 1e-6).astype(np.float64)
    return ((p[:, None] - p[None]) * (np.log(p)[:, None] - np.log(p)[None])).sum(-1) / 2


def farthest(distances, start, size):
    chosen = [start]
    while len(chosen) < size:
        nearest = distances[chosen].min(0)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return chosen


def best_first(gains, count, size):
    """Return greedy picks of a function from the chosen to the gains of all."""
    chosen = []
    for _ in range(size):
        gain = gains(chosen)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    return chosen


def covered(kernel, chosen):
    return kernel[chosen].max(0).sum()


def volume(kernel, chosen, noise=1e-3):
    return np.linalg.slogdet(kernel[np.ix_(chosen, chosen)] + noise * np.eye(len(chosen)))[1]


def gaussian(points):
    """Return the kernel with the mean squared distance of two samples, by its definition."""
    away = squared(points)
    return np.exp(-away / away.mean())


def test_k_center_is_the_plain_loop():
    away = squared(POINTS)
    centre = POINTS.astype(np.float64) - POINTS.mean(0, dtype=np.float64)
    start = int((centre**2).sum(1).argmin())
    assert pick("k-center").tolist() == farthest(away, start, SIZE)


@pytest.mark.slow
def test_k_center_covers_with_its_start():
    """anomalib and DeepCore's ports measure from a start that the set lacks."""
    chosen = pick("k-center")
    radius = squared(POINTS)[chosen].min(0).max()
    assert radius < min(squared(POINTS)[other].min(0).max() for other in randoms())
    line = pool_of(np.array([[0.0], [1], [4], [10], [5]]))
    assert pick("k-center", line, 3).tolist() == [2, 3, 0]


def test_contextual_diversity_is_farthest_first_by_divergence():
    p = softmax(LOGITS)
    away = divergences(p)
    kept = np.maximum(p.astype(np.float32), 1e-6).astype(np.float64)
    to_mean = ((kept - kept.mean(0)) * (np.log(kept) - np.log(kept.mean(0)))).sum(1)
    chosen = pick("contextual-diversity")
    assert chosen.tolist() == farthest(away, int(to_mean.argmin()), SIZE)
    assert away[chosen].min(0).max() < min(away[other].min(0).max() for other in randoms())


def test_contextual_diversity_stands_certainty():
    """Probabilities of 0 and 1 are raised and told apart where they differ."""
    sure = np.eye(3)[[0, 0, 0, 1, 1, 2, 0]]
    chosen = pick("contextual-diversity", pool_of(np.zeros((7, 1)), sure), 3)
    assert len(np.unique(sure[chosen].argmax(1))) == 3


def herd(points, size):
    p = points.astype(np.float64)
    mean, chosen, total = p.mean(0), [], np.zeros(p.shape[1])
    for turn in range(size):
        away = np.linalg.norm((total + p) / (turn + 1) - mean, axis=1)
        away[chosen] = np.inf
        chosen.append(int(away.argmin()))
        total += p[chosen[-1]]
    return chosen


@pytest.mark.parametrize("points", [POINTS, POINTS + 5, rng(2).normal(size=(900, 40))])
def test_herding_is_the_plain_loop(points):
    points = points.astype(np.float32)
    assert pick("herding", pool_of(points)).tolist() == herd(points, SIZE)


def test_herding_takes_the_nearest():
    """DeepCore's takes the farthest, whose mean is worse than a random subset's."""
    chosen = pick("herding", size=40)
    mean = POINTS.mean(0)
    gap = np.linalg.norm(POINTS[chosen].mean(0) - mean)
    assert gap < 0.2 * min(np.linalg.norm(POINTS[o].mean(0) - mean) for o in randoms(40))


@pytest.mark.parametrize("ahead", [1, 2, 64])
def test_picks_do_not_depend_on_how_many_are_guessed(ahead, monkeypatch):
    whole = balance(np.zeros(COUNT), POINTS, SIZE)
    monkeypatch.setattr("lotterybench.selection.base.lazy.AHEAD", ahead)
    monkeypatch.setattr("lotterybench.selection.base.lazy.PENDING", ahead)
    assert balance(np.zeros(COUNT), POINTS, SIZE).tolist() == whole.tolist()


@pytest.mark.parametrize("lam", [0.05, 1.0, 3.0])
def test_graph_cut_is_the_plain_greedy(lam):
    kernel = cosines(POINTS)

    def gains(chosen):
        return lam * kernel.sum(0) - 2 * kernel[chosen].sum(0) - kernel.diagonal()

    def cut(chosen):
        return lam * kernel[chosen].sum() - kernel[np.ix_(chosen, chosen)].sum()

    chosen = pick("graph-cut", lam=lam)
    assert chosen.tolist() == best_first(gains, COUNT, SIZE)
    assert cut(chosen) > max(cut(other) for other in randoms())


def test_no_kernel_is_held():
    """N² floats are 100 MB and a k × N buffer 50 MB here; what is held is a tenth."""
    pool = pool_of(clustered(5_000, 8))
    for name in ("graph-cut", "k-center", "herding"):
        tracemalloc.start()
        pick(name, pool, 2_500)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10e6, (name, peak)


def cover_gains(kernel):
    def gains(chosen):
        now = kernel[chosen].max(0) if chosen else np.zeros(len(kernel))
        return np.maximum(kernel - now, 0).sum(1)

    return gains


@pytest.mark.parametrize("whole", [facility.WHOLE, 0])
@pytest.mark.parametrize("held", [facility.HELD, 1])
@pytest.mark.parametrize("dense", [1, 24])
def test_facility_location_is_the_plain_greedy(whole, held, dense, monkeypatch):
    """With the kernel in memory, with rows that all stay, and with room for two rows only."""
    monkeypatch.setattr(facility, "DENSE", dense)
    points = POINTS[:400]
    kernel = cosines(points).astype(np.float32)
    asked = []

    def rows(which):
        asked.append(len(which))
        return kernel[which]

    first = kernel.sum(1, dtype=np.float64) * 1.001
    found = maximise(rows, first, 320, whole=whole, held=held)
    plain = best_first(cover_gains(kernel.astype(np.float64)), 400, 320)
    assert found.positions.tolist() == plain
    nearest = kernel[plain].argmax(0)
    assert found.weight.tolist() == np.bincount(nearest, minlength=320).tolist()
    assert math.isclose(found.gains.sum(), covered(kernel, plain), rel_tol=1e-5)
    assert (sum(asked) > 400) == (whole == 0 and held == 1)


def test_facility_location_covers_more_than_random():
    kernel = cosines(POINTS)
    chosen = pick("facility-location")
    assert chosen[:40].tolist() == best_first(cover_gains(kernel), COUNT, 40)
    value = covered(kernel, chosen)
    assert value > max(covered(kernel, other) for other in randoms())
    sampled = pick("facility-location", sample=0.1)
    assert value > covered(kernel, sampled) > 0.99 * value
    assert pick("facility-location", sample=0.1, seed=1).tolist() != sampled.tolist()


def test_sampled_greedy_takes_the_best_of_each_sample():
    """With a sample of all it is greedy itself; with one it is a random order."""
    kernel = cosines(POINTS[:200]).astype(np.float32)
    rows = kernel.__getitem__
    found = maximise_sampled(rows, 200, 60, rng(0), 200)
    exact = maximise(rows, kernel.sum(1), 60)
    assert found.positions.tolist() == exact.positions.tolist()
    assert found.weight.tolist() == exact.weight.tolist()
    one = maximise_sampled(rows, 200, 200, rng(0), 1).positions
    assert sorted(one.tolist()) == list(range(200))
    assert one.tolist() != sorted(one.tolist())


def test_log_determinant_is_the_plain_greedy():
    points = POINTS[: CANDIDATES + 60]
    kernel = gaussian(points)

    def gains(chosen):
        if not chosen:
            return np.ones(len(kernel))
        inside = kernel[np.ix_(chosen, chosen)] + 1e-3 * np.eye(len(chosen))
        across = kernel[chosen]
        return 1 - (across * np.linalg.solve(inside, across)).sum(0)

    chosen = pick("log-determinant", pool_of(points), 140)
    assert chosen.tolist() == best_first(gains, len(points), 140)


def test_log_determinant_is_larger_than_random():
    """DeepCore's gain has the wrong sign: it takes the most redundant."""
    kernel = gaussian(POINTS)
    value = volume(kernel, pick("log-determinant"))
    assert value > max(volume(kernel, other) for other in randoms()) + 10


@pytest.mark.parametrize("seed", range(3))
def test_kernel_halving_follows_its_definition(seed):
    """The walk of Dwivedi and Mackey's algorithm 2, with functions as vectors of values."""
    count = 60
    kernel = Gaussian(POINTS[:count], 1.0)
    values = np.exp(-squared(kernel.points))
    first, second = np.arange(0, count, 2), np.arange(1, count, 2)
    coins, spread, weight, turned = rng(seed).random(30), 0.0, np.zeros(count), []
    for one, other, coin in zip(first, second, coins, strict=True):
        size = values[one, one] + values[other, other] - 2 * values[one, other]
        inner = weight @ (values[one] - values[other])
        a = max(math.sqrt(size * spread * 2 * math.log(2 / (0.5 / count))), size)
        turned.append(coin > (1 - inner / a) / 2)
        sign = -1 if turned[-1] else 1
        weight[one], weight[other] = sign, -sign
        spread += size * max(0, 1 + (size - 2 * a) * spread / a**2)
    assert walk(kernel, first, second, rng(seed)).tolist() == turned


def test_kernel_thinning_keeps_the_means():
    """Its maximum mean discrepancy is below random's at sizes that halving does not give."""
    kernel = gaussian(POINTS)

    def discrepancy(chosen):
        inside = kernel[np.ix_(chosen, chosen)].mean()
        return inside - 2 * kernel[chosen].mean() + kernel.mean()

    for size in (97, 384, 500, 1_100):
        ours = np.mean([discrepancy(pick("kernel-thinning", size=size, seed=s)) for s in range(5)])
        others = [discrepancy(other) for other in randoms(size)]
        assert ours < 0.75 * np.mean(others), size


def test_kernel_thinning_joins_buckets(monkeypatch):
    monkeypatch.setattr("lotterybench.selection.kernel_thinning.BUCKET", 100)
    for size in (1, 2, 3, 767, 768, 769, COUNT):
        assert len(np.unique(pick("kernel-thinning", size=size))) == size


@pytest.mark.parametrize("name", ALL)
def test_copies_are_chosen_once_each(name):
    """CORDS finds 50 of 60 by looking copies up; apricot ranks 205 to 318 of 320 asked for."""
    points = np.repeat(clustered(6, 5), 10, axis=0)
    copies = pool_of(points, np.repeat(softmax(LOGITS[:6]), 10, axis=0))
    assert sorted(pick(name, copies, 60).tolist()) == list(range(60))
    spread = pick(name, copies, 6)
    if name not in {"herding", "kernel-thinning", "graph-cut"}:
        assert len(np.unique(spread // 10)) == 6
    kernel = np.repeat(np.repeat(cosines(points[::10]), 10, 0), 10, 1).astype(np.float32)
    for search in (Whole(kernel), Search(kernel.__getitem__, kernel.sum(1))):
        assert sorted(greedy(search, 60).positions.tolist()) == list(range(60))


@pytest.mark.parametrize("name", [name for name in ALL if name != "kernel-thinning"])
def test_equal_samples_go_by_position(name):
    constant = pool_of(np.zeros((2 * CANDIDATES, 3)), np.full((2 * CANDIDATES, 2), 0.5))
    assert pick(name, constant, 200).tolist() == list(range(200))


@pytest.mark.parametrize("name", ALL)
def test_they_hold_inside_classes_and_for_one_sample(name):
    pool = toy_pool(per_class=30, classes=3)
    counts = np.bincount(pool.labels[pick(name, pool, 31, balanced=True)])
    assert sorted(counts.tolist()) == [10, 10, 11]
    assert pick(name, pool_of(np.ones((1, 4))), 1).tolist() == [0]


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("graph-cut", {"lam": 0.0}, "graph-cut: lam is 0; it is above 0 and finite"),
        ("facility-location", {"sample": 1.0}, "sample is 1; it is at least 0 and below 1"),
        ("log-determinant", {"noise": 0.0}, r"noise is 0; it lies in 1e-5\.\.1"),
        ("log-determinant", {"width": -1.0}, "width is -1; it is above 0 and finite"),
        ("kernel-thinning", {"width": math.inf}, "width is inf; it is above 0 and finite"),
    ],
)
def test_bad_settings_are_told(name, settings, told):
    with pytest.raises(BadRequest, match=told):
        pick(name, **settings)


@pytest.mark.slow  # imports of peers take seconds
def test_the_speed_script_runs_and_peers_agree(tmp_path):
    script = Path(__file__).parents[1] / "benchmark" / "speed" / "selection.py"
    out = tmp_path / "selection.json"
    command = [sys.executable, str(script), "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    report = json.loads(out.read_text())
    for name in ("k-center", "herding", "facility location", "graph cut"):
        assert set(report[name]["picks of the first"].values()) == {report["picks"]}, name
