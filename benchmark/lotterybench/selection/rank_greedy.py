"""Subsets whose samples rank a choose pool of methods as all samples do (protocol §6).

The methods were trained on full data and judged on samples that they did not see. So these choose
what to *evaluate* on: whether training on it ranks other methods alike is what a track measures.
τ-b is greedily raised, one class or sample at a time; of equal ones the first comes. Where τ is
undefined (all tied), it counts as less than any.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.selection.base import Pool, Spec, classes, samples

FEWEST = 12  # configurations of a choose pool (protocol §6)
BLOCK = 8_192  # candidates at a time: they stay in the cache, and most picks are in the first
Ints = NDArray[np.int64]
Small = NDArray[np.signedinteger[Any]]
T = TypeVar("T")


@samples(
    "rank-greedy",
    Spec(
        "what most raises τ between the methods' held-out scores on the chosen and on all",
        ("right",),
        labels=True,
        time="M N + k N p; p pairs of methods, M² at most, are within a sample of a tie",
        memory="M N",
    ),
    nests=True,
)
def rank_greedy(pool: Pool, size: int, rng: np.random.Generator) -> Ints:
    """Take the samples on which the choose pool's methods rank as on all, held out."""
    counts = np.stack(enough(pool.methods("right")))
    right = counts.astype(np.min_scalar_type(-2 * int(counts.max()) - 1))  # differences fit it
    order = Order(right.sum(1, dtype=np.int64))
    free = np.ones(len(pool), dtype=bool)
    total = np.zeros(len(right), dtype=np.int64)
    picked = np.empty(size, dtype=np.int64)
    for step in range(size):
        picked[step] = best = _next(order, total, right, free)
        free[best] = False
        total += right[:, best]
    return picked


@classes(
    "rank-greedy-classes",
    Spec(
        "the pair, then the class, that most raises τ, told apart from the chosen alone",
        ("held_out_seeds",),
        labels=True,
        time="M S N (C + k) + C² M²",
        memory="M S N C",
    ),
    nests=True,
)
def rank_greedy_classes(pool: Pool, size: int, rng: np.random.Generator) -> Ints:
    """Take the classes on which the choose pool's methods rank as on all, held out.

    A method's score on some classes is its accuracy on their samples, told apart from one another
    alone (the likeliest of these classes). One class alone ranks nobody, so a pair comes first.
    """
    count = np.bincount(pool.labels, minlength=pool.classes)
    if not count.all():
        raise BadRequest(f"class {int(count.argmin())} has no samples, hence no accuracy")
    told = enough(Told(p, pool) for p in pool.methods("held_out_seeds"))
    order = Order(np.array([one.everywhere for one in told]))
    pairs = np.array(list(combinations(range(pool.classes), 2)))
    scores = np.stack([one.pairs[tuple(pairs.T)] for one in told], axis=1)
    picked = [int(label) for label in pairs[order.of(scores).argmax()]]
    for label in picked:
        _join(told, label)
    while len(picked) < size:
        left = np.setdiff1d(np.arange(pool.classes), picked)
        scores = np.stack([one.after()[left] for one in told], axis=1)
        picked.append(int(left[order.of(scores).argmax()]))
        _join(told, picked[-1])
    return np.array(picked[:size], dtype=np.int64)


def enough(methods: Iterable[T]) -> list[T]:
    """Return what there is of each method; raise `BadRequest` for fewer than protocol §6 asks."""
    found = list(methods)
    if len(found) < FEWEST:
        raise BadRequest(
            f"the choose pool has {len(found)} configurations; choosing with results of methods "
            f"needs {FEWEST} (protocol §6)"
        )
    return found


class Order:
    """The order of methods by full scores (M,), and how close others come to it."""

    def __init__(self, full: Ints) -> None:
        self.one, self.other = np.triu_indices(len(full), 1)
        self.wanted = np.sign(full[self.one] - full[self.other])
        self.perfect = float(np.abs(self.wanted).sum())  # the closeness of τ = 1

    def closeness(self, agreed: Ints, untied: Ints) -> NDArray[np.float64]:
        """Return what orders candidates as their τ-b does, of Σ S_x S_y and Σ |S_y| over pairs.

        It has no root, so that equal τ are equal; −∞ where τ is undefined.
        """
        defined = (untied > 0) & (self.perfect > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(defined, agreed * np.abs(agreed) / untied, -np.inf)

    def of(self, scores: Ints) -> NDArray[np.float64]:
        """Return the closeness of rows of scores (rows, M), (rows,)."""
        parts = []
        for start in range(0, len(scores), BLOCK):
            block = scores[start : start + BLOCK]
            signs = np.sign(block[:, self.one] - block[:, self.other])
            parts.append(self.closeness(signs @ self.wanted, np.abs(signs).sum(1)))
        return np.concatenate(parts)


def _next(order: Order, total: Ints, right: Small, free: NDArray[np.bool_]) -> int:
    """Return the first free sample with which the totals (M,) come closest to the order.

    Only pairs that one sample may tie or turn are looked at, and no further than a perfect order.
    """
    gap = total[order.one] - total[order.other]
    near = np.abs(gap) <= int(right.max(initial=0))
    fixed = np.sign(gap[~near])
    agreed, untied = int(fixed @ order.wanted[~near]), len(fixed)
    pairs = list(
        zip(*(part[near].tolist() for part in (order.one, order.other, gap, order.wanted)),
            strict=True)
    )  # fmt: skip
    best, found = -np.inf, int(free.argmax())
    for start in range(0, free.size, BLOCK):
        rows = np.flatnonzero(free[start : start + BLOCK])
        if not len(rows):
            continue
        turned, apart = _signs(pairs, right[:, start : start + BLOCK])
        close = order.closeness(agreed + turned[rows], untied + apart[rows])
        at = int(close.argmax())
        if close[at] > best:
            best, found = float(close[at]), start + int(rows[at])
        if best == order.perfect:
            break
    return found


def _signs(pairs: list[tuple[int, int, int, int]], right: Small) -> tuple[Ints, Ints]:
    """Return Σ wanted · sign and Σ |sign| over pairs after each sample of `right` (M, n), (n,)."""
    agreed, untied = (np.zeros(right.shape[1], dtype=np.int32) for _ in range(2))
    for one, other, gap, wanted in pairs:
        sign = np.sign(right[one] - right[other] + right.dtype.type(gap))
        untied += np.abs(sign)
        if wanted:
            agreed += sign if wanted > 0 else -sign
    return agreed.astype(np.int64), untied.astype(np.int64)


def _join(told: list["Told"], label: int) -> None:
    for one in told:
        one.join(label)


class Told:
    """How many samples one configuration tells right as classes join, counted over its seeds.

    A sample is told right among some classes if none of them is likelier than its own (of equally
    likely ones the first is said).
    """

    def __init__(self, probabilities: NDArray[np.float32], pool: Pool) -> None:
        labels = pool.labels[:, None, None]
        own = np.take_along_axis(probabilities, labels, 2)
        first = np.arange(pool.classes) < labels
        self.labels, self.classes = pool.labels, pool.classes
        self.rivals = (probabilities > own) | ((probabilities == own) & first)  # (N, S, C)
        self.everywhere = int((~self.rivals.any(2)).sum())
        lost = np.zeros((self.classes, self.classes), dtype=np.int64)
        for label, rows in enumerate(pool.by_class):
            lost[label] = (~self.rivals[rows]).sum((0, 1))
        self.pairs: Ints = lost + lost.T
        self.alive = np.ones(self.rivals.shape[:2], dtype=bool)  # no rival has joined
        self.inside = np.zeros(len(self.labels), dtype=bool)
        self.right = 0
        self.spoils = np.zeros(self.classes, dtype=np.int64)

    def after(self) -> Ints:
        """Return how many are told right if a class joins, (C,)."""
        added = np.bincount(self.labels, self.alive.sum(1), minlength=self.classes)
        return self.right - self.spoils + added.astype(np.int64)

    def join(self, label: int) -> None:
        """Let a class join: some samples get a rival, and the class's own are told or not."""
        spoilt = self.alive & self.rivals[:, :, label]
        gone = spoilt & self.inside[:, None]
        self.alive &= ~spoilt
        new = self.alive & (self.labels == label)[:, None]
        self.inside |= self.labels == label
        self.right += int(new.sum()) - int(gone.sum())
        self.spoils += self.rivals[new].sum(0) - self.rivals[gone].sum(0)
