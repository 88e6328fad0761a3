"""Every selector: the size asked for, no repetition, and each promise that it declares."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from pools import toy_pool

from lotterybench.errors import BadRequest
from lotterybench.selection import Pool, selector
from lotterybench.signals import EPOCHS, METHODS, SAMPLES, Arrays

rng = np.random.default_rng
SAMPLERS = [name for name in selector if selector[name].kind == "samples"]
READERS = [name for name in selector if selector[name].spec.reads]
OURS = {"uniform", "class-balanced", "uniform-classes", "every-kth-class"}
OURS |= {"rank-greedy", "rank-greedy-classes", "uniform-in-classes"}
FREE = [name for name in selector if not selector[name].fixed]  # any size may be asked for


@pytest.fixture(scope="module")
def pool():
    """Six classes of 12 samples, in random order, with every signal."""
    return toy_pool(per_class=12, classes=6)


def most(pool, name):
    return pool.classes if selector[name].kind == "classes" else len(pool)


@pytest.mark.parametrize("name", FREE)
def test_the_size_asked_for_and_no_repetition(name, pool):
    top = most(pool, name)
    for size in {1, 2, 3, top // 3, top // 2, top - 1, top}:
        picked = selector[name](pool, size, rng(0))
        assert picked.shape == (size,)
        assert len(np.unique(picked)) == size
        assert picked.min() >= 0
        assert picked.max() < top
    with pytest.raises(BadRequest, match=f"{top + 1} .* were asked for; there are {top}"):
        selector[name](pool, top + 1, rng(0))


@pytest.mark.parametrize("name", FREE)
def test_a_seed_gives_the_same_bytes_and_another_others_where_random(name, pool):
    size = max(2, most(pool, name) // 3)
    one, same = (selector[name](pool, size, rng(7)).tobytes() for _ in range(2))
    assert one == same
    others = {selector[name](pool, size, rng(seed)).tobytes() for seed in range(8)}
    assert (len(others) > 1) == selector[name].random


@pytest.mark.parametrize("name", [name for name in selector if selector[name].nests])
def test_declared_nesting_holds(name, pool):
    top = most(pool, name)
    sizes = range(1, top + 1) if top < 10 else [1, 2, 5, 6, 17, 30, 31, top // 2, top - 1, top]
    picked = [set(selector[name](pool, size, rng(3)).tolist()) for size in sizes]
    assert all(small < large for small, large in pairwise(picked))


def test_every_kth_class_does_not_nest_and_says_so(pool):
    small, large = (set(selector["every-kth-class"](pool, s, rng(0))) for s in (2, 3))
    assert not small <= large
    assert not selector["every-kth-class"].nests


@pytest.mark.parametrize("name", SAMPLERS)
def test_balanced_quotas_are_exact(name, pool):
    """Inherently or on demand: class counts differ by one at most, and a short class is told."""
    how = selector[name]
    settings = {"balanced": True} if how.splits else {}
    for size in (6, 9, 20, 36):
        picked = how(pool, size, rng(5), **settings)
        counts = np.bincount(pool.labels[picked], minlength=6)
        assert counts.max() - counts.min() == (size % 6 > 0)
    rows = np.sort(np.concatenate([pool.by_class[0][:2], *pool.by_class[1:]]))
    with pytest.raises(BadRequest, match="name 0 has 2 samples; its quota is 3"):
        how(pool.take(rows), 18, rng(0), **settings)


@pytest.mark.parametrize("name", READERS)
def test_bad_signals_are_told(name, pool):
    """Missing, of another base, not a number: one line each."""
    how = selector[name]
    first = how.spec.reads[0]
    size = 6
    with pytest.raises(BadRequest, match=r"the signal \w+ is needed; none were given"):
        how(replace(pool, signals=Arrays()), size, rng(0))
    longer = toy_pool(per_class=13, classes=6).signals
    with pytest.raises(BadRequest, match="is of 78 samples, the base has 72: signals of another"):
        how(replace(pool, signals=longer), size, rng(0))
    signals = pool.signals
    by_epoch = {k: [v.copy() for v in values] for k, values in signals.by_epoch.items()}
    by_sample = {k: v.copy() for k, v in signals.by_sample.items()}
    by_method = {k: [v.astype(float) for v in values] for k, values in signals.by_method.items()}
    if first in METHODS:
        by_method[first][7][5] = np.nan
    elif first in EPOCHS:
        if by_epoch[first][0].dtype == bool:
            pytest.skip("yes or no is always a number")
        by_epoch[first][0][1, 5] = np.nan
    else:
        by_sample[first][5] = np.nan
    with pytest.raises(BadRequest, match=f"the signal {first} is not a finite number at sample 5"):
        how(replace(pool, signals=Arrays(by_epoch, by_sample, by_method)), size, rng(0))


@pytest.mark.parametrize("name", READERS)
def test_only_declared_signals_are_read(name, pool):
    """With nothing but what it declares, it selects as with everything."""
    how, signals = selector[name], pool.signals
    assert set(how.spec.reads) <= set(EPOCHS) | set(SAMPLES) | set(METHODS)
    few = Arrays(
        {k: v for k, v in signals.by_epoch.items() if k in how.spec.reads},
        {k: v for k, v in signals.by_sample.items() if k in how.spec.reads},
        {k: v for k, v in signals.by_method.items() if k in how.spec.reads},
    )
    size = max(2, most(pool, name) // 3)
    apart = how(replace(pool, signals=few), size, rng(1))
    assert apart.tolist() == how(pool, size, rng(1)).tolist()


@pytest.mark.parametrize("name", SAMPLERS)
def test_labels_are_read_only_where_declared(name, pool):
    how = selector[name]
    if how.spec.labels:
        pytest.skip("declares that it reads labels")
    other = replace(pool, labels=np.roll(pool.labels, 1))
    assert how(other, 20, rng(2)).tolist() == how(pool, 20, rng(2)).tolist()


def test_no_two_selectors_select_the_same(pool):
    big = toy_pool(per_class=40, classes=6, seed=3)
    for kind, size in (("samples", 60), ("classes", 3)):
        found = {}
        for name in selector:
            if selector[name].kind == kind and name in FREE:
                chosen = tuple(sorted(selector[name](big, size, rng(0)).tolist()))
                assert chosen not in found or kind == "classes", (name, found.get(chosen))
                found[chosen] = name


@pytest.mark.parametrize("name", selector)
def test_the_specification_is_there(name):
    spec = selector[name].spec
    assert spec.first
    assert spec.time
    assert selector[name].summary.endswith(".")
    assert spec.paper or name in OURS


def test_uniform_has_the_same_chance_for_all():
    """10,000 draws of 3 of 10: each sample 3,000 times, within 5 standard deviations (229)."""
    pool = Pool(np.zeros(10, np.int64), 1)
    drawn = np.concatenate([selector["uniform"](pool, 3, rng(s)) for s in range(10_000)])
    assert np.abs(np.bincount(drawn) - 3_000).max() < 229


def test_every_kth_class_is_evenly_spaced():
    pool = Pool(np.arange(100), 100)
    picked = selector["every-kth-class"](pool, 10, rng(0), offset=3)
    assert picked.tolist() == list(range(3, 100, 10))
    with pytest.raises(BadRequest, match=r"offset is 10; it lies in 0\.\.9 for 10 of 100 classes"):
        selector["every-kth-class"](pool, 10, rng(0), offset=10)
