"""Random samples with the class counts of another subset: the null that is matched on them."""

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.selection.base import Pool, Spec, samples


@samples(
    "uniform-in-classes",
    Spec(first="at random in each class, as many as `counts` says", labels=True, time="N log N"),
    nests=False,
    random=True,
)
def uniform_in_classes(
    pool: Pool, size: int, rng: np.random.Generator, *, counts: list[int] | None = None
) -> NDArray[np.int64]:
    """Draw `counts` samples without replacement, so many of each class in the order of labels.

    Without `counts` classes give in proportion to their sizes, whole numbers by the largest
    remainder. Raises `BadRequest` where counts do not fit the classes, their sizes or the budget.
    """
    there = np.bincount(pool.labels, minlength=pool.classes)
    wanted = in_proportion(there, size) if counts is None else np.array(counts, dtype=np.int64)
    _check(wanted, there, size)
    shuffled = np.argsort(rng.random(len(pool.labels)))
    labels = pool.labels[shuffled]
    by_class = np.argsort(labels, kind="stable")
    draw = np.empty_like(shuffled)
    draw[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(there) - there, there)
    picked: NDArray[np.int64] = shuffled[draw < wanted[labels]]
    return picked


def in_proportion(there: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return whole numbers (C,) that sum to `size`, nearest to proportional to `there` (C,)."""
    exact = size * there / there.sum()
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    largest = np.argsort(found - exact, kind="stable")
    found[largest[: size - found.sum()]] += 1
    return found


def _check(wanted: NDArray[np.int64], there: NDArray[np.int64], size: int) -> None:
    if len(wanted) != len(there):
        raise BadRequest(f"{len(wanted)} counts were given; there are {len(there)} classes")
    if wanted.sum() != size:
        raise BadRequest(f"the counts sum to {wanted.sum()}; {size} samples were asked for")
    strange = np.flatnonzero((wanted < 0) | (wanted > there))
    if len(strange):
        label = strange[0]
        raise BadRequest(
            f"{wanted[label]} samples of class {label} were asked for; it has {there[label]}"
        )
