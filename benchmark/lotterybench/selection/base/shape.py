"""The shape of selectors and scores, and what each declares about itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.registry import Registry
from lotterybench.selection.base.pool import Pool
from lotterybench.signals import METHODS

Kind = Literal["samples", "classes"]


class Weighted(NamedTuple):
    """Positions in the order of choice, and how much each stands for (sums to the pool's size)."""

    positions: NDArray[np.int64]
    weight: NDArray[np.float32]


# (pool, size, rng, **settings) -> int64 (size,): positions in the order of choice, or classes.
Select = Callable[..., NDArray[np.int64] | Weighted]
# (pool, **settings) -> float (N,): the higher, the earlier a sample is taken.
Rate = Callable[..., NDArray[np.floating[Any]]]


class Setting(NamedTuple):
    """What may be given for a setting, and what it is otherwise."""

    type: Any
    default: Any


@dataclass(frozen=True)
class Spec:
    """What a selector or a score says of itself.

    `first` says in words which samples or classes come first. `reads` names the signals it needs
    (`lotterybench.signals`), `labels` whether it reads labels, `tree` whether it reads the
    classes' places in WordNet. `time` and `memory` are its complexity: N samples, k picks,
    C classes, d features, E epochs, S seeds. `paper` is where it was proposed; `apart` says where
    the paper and its public code disagree, and which is followed here.
    """

    first: str
    reads: tuple[str, ...] = ()
    labels: bool = False
    tree: bool = False
    time: str = "N"
    memory: str = "N"
    paper: str = ""
    apart: str = ""


@dataclass(frozen=True)
class Selector:
    """A selection function with its declarations.

    `kind` is what it returns; `nests` says that with equal seed and settings a smaller budget's
    selection is contained in a larger one's; `random` that another seed selects otherwise;
    `balanced` that class counts differ by one at most; `fixed` that one of its settings fixes the
    size. Every other selector of samples has the setting `balanced`: it is run inside each class,
    or, if it is a `whole` ranking, each class's quota is filled in the order of the whole pool.
    """

    name: str
    select: Select
    kind: Kind
    spec: Spec
    nests: bool
    random: bool = False
    balanced: bool = False
    fixed: bool = False
    whole: bool = False

    @property
    def summary(self) -> str:
        """The first line of the function's documentation."""
        return (self.select.__doc__ or "").strip().splitlines()[0]

    @property
    def labels(self) -> bool:
        """Whether it reads labels, whatever its settings."""
        return self.spec.labels

    @property
    def methods(self) -> bool:
        """Whether it reads results of methods: of a choose pool (protocol §6)."""
        return any(name in METHODS for name in self.spec.reads)

    @property
    def splits(self) -> bool:
        """Whether it has the setting `balanced`."""
        return self.kind == "samples" and not self.balanced

    @property
    def settings(self) -> dict[str, Setting]:
        """The settings that may be given, by name."""
        own = keywords(self.select)
        return {**own, "balanced": Setting(bool, False)} if self.splits else own

    def __call__(
        self, pool: Pool, size: int, rng: np.random.Generator, **settings: Any
    ) -> NDArray[np.int64]:
        """Select; int64 (size,), unique, in the order of choice. Raises as `pick` does."""
        return self.pick(pool, size, rng, **settings)[0]

    def pick(
        self, pool: Pool, size: int, rng: np.random.Generator, **settings: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """Select; return positions and, of a selector that weighs, float32 weights (size,).

        Raises `BadRequest` where the pool is smaller than `size`, or, balanced, a class than its
        quota, and where a signal is missing, not finite, or of another base.
        """
        there = len(pool) if self.kind == "samples" else pool.classes
        if not 0 < size <= there:
            raise BadRequest(f"{size} {self.kind} were asked for; there are {there}")
        if self.splits and settings.pop("balanced", False):
            inside = _filled if self.whole else _in_each_class
            picked, weight = inside(self.select, pool, size, rng, settings)
        else:
            picked, weight = _apart(self.select(pool, size, rng, **settings))
        if picked.shape != (size,) or len(np.unique(picked)) != size:
            raise AssertionError(f"{self.name} returned {picked.shape} for {size} {self.kind}")
        return picked, weight


def _apart(
    found: NDArray[np.int64] | Weighted,
) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    if isinstance(found, Weighted):
        return np.asarray(found.positions, np.int64), np.asarray(found.weight, np.float32)
    return np.asarray(found, np.int64), None


selector: Registry[Selector] = Registry("selector")
score: Registry[Rate] = Registry("score")


def samples(
    name: str, spec: Spec, *, nests: bool, random: bool = False, balanced: bool = False,
    whole: bool = False,
) -> Callable[[Select], Select]:  # fmt: skip
    """Register a function that returns positions in the training split."""
    return _register(name, "samples", spec, nests, random, balanced, whole=whole)


def classes(
    name: str, spec: Spec, *, nests: bool, random: bool = False, fixed: bool = False
) -> Callable[[Select], Select]:
    """Register a function that returns classes."""
    return _register(name, "classes", spec, nests, random, fixed=fixed)


def _register(
    name: str, kind: Kind, spec: Spec, nests: bool, random: bool, balanced: bool = False,
    fixed: bool = False, whole: bool = False,
) -> Callable[[Select], Select]:  # fmt: skip
    def add(select: Select) -> Select:
        made = Selector(name, select, kind, spec, nests, random, balanced, fixed, whole)
        selector.add(name, made)
        return select

    return add


def ranked(name: str, spec: Spec, *, whole: bool = False) -> Callable[[Rate], Rate]:
    """Register a score, and the selector that takes the samples with the highest.

    The selector has the score's settings and two of its own: `easiest` takes the lowest instead;
    `skip` first leaves out that fraction of the pool from the end that it begins at (the offset
    window of Paul et al. 2021). Equal scores go by position, which is the order of content hashes.
    """

    def add(rate: Rate) -> Rate:
        def select(
            pool: Pool, size: int, rng: np.random.Generator, **settings: Any
        ) -> NDArray[np.int64]:
            easiest, skip = settings.pop("easiest", False), settings.pop("skip", 0.0)
            if not 0 <= skip < 1:
                raise BadRequest(f"{name}: skip is {skip:g}; it is at least 0 and below 1")
            left_out = int(skip * len(pool))
            if left_out + size > len(pool):
                raise BadRequest(
                    f"{name}: {size} samples were asked for; skip {skip:g} leaves "
                    f"{len(pool) - left_out} of {len(pool)}"
                )
            values = rate(pool, **settings)
            order = np.argsort(values if easiest else -values, kind="stable")
            return order[left_out : left_out + size]

        select.__doc__ = rate.__doc__
        hints = get_type_hints(rate)
        own = {k: p.replace(annotation=hints[k]) for k, p in _keyword_only(rate).items()}
        for extra, kind, default in (("easiest", bool, False), ("skip", float, 0.0)):
            own[extra] = inspect.Parameter(
                extra, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
        select.__signature__ = inspect.Signature(list(own.values()))  # type: ignore[attr-defined]
        score.add(name, rate)
        samples(name, spec, nests=True, whole=whole)(select)
        return rate

    return add


def keywords(function: Callable[..., Any]) -> dict[str, Setting]:
    """Return a function's keyword-only arguments as settings."""
    signature = inspect.signature(function)
    plain = not hasattr(function, "__signature__")
    hints = get_type_hints(function) if plain else {}
    return {
        name: Setting(hints.get(name, parameter.annotation), parameter.default)
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _keyword_only(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def quotas(pool: Pool, size: int, turn: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many samples each class gives, int64 (C,): ⌊size/C⌋, one more by turn.

    Raises `BadRequest` where a class has fewer samples than its quota.
    """
    each, more = divmod(size, pool.classes)
    quota = np.full(pool.classes, each)
    quota[turn[:more]] += 1
    there = np.bincount(pool.labels, minlength=pool.classes)
    short = np.flatnonzero(there < quota)
    if len(short):
        which = pool.names[short[0]] if pool.names else f"class {short[0]}"
        raise BadRequest(f"{which} has {there[short[0]]} samples; its quota is {quota[short[0]]}")
    return quota


def _filled(
    select: Select, pool: Pool, size: int, rng: np.random.Generator, settings: dict[str, Any]
) -> tuple[NDArray[np.int64], None]:
    """Fill each class's quota in the order of the whole pool; `skip` leaves out that part of each.

    Picks come in the order of the pool's ranking.
    """
    skip = settings.pop("skip", 0.0)
    quota = quotas(pool, size, rng.permutation(pool.classes))
    order, _ = _apart(select(pool, len(pool), rng, **settings))
    labels = pool.labels[order]
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=pool.classes)
    place = np.empty_like(order)
    place[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = (skip * counts).astype(np.int64)
    short = np.flatnonzero(first + quota > counts)
    if len(short):
        raise BadRequest(f"skip {skip:g} leaves a class fewer than its quota of {quota[short[0]]}")
    taken = (place >= first[labels]) & (place < (first + quota)[labels])
    return order[taken], None


def _in_each_class(
    select: Select, pool: Pool, size: int, rng: np.random.Generator, settings: dict[str, Any]
) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Select inside each class; round r of the result holds each class's r-th pick, by turn."""
    turn = rng.permutation(pool.classes)
    quota = quotas(pool, size, turn)
    children = rng.spawn(pool.classes)
    picked, weights, rounds, turns = [], [], [], []
    for place, label in enumerate(turn):
        if quota[label]:
            rows = pool.by_class[label]
            inside = pool.take(rows)
            chosen, weight = _apart(select(inside, int(quota[label]), children[label], **settings))
            picked.append(rows[chosen])
            weights.append(weight)
            rounds.append(np.arange(quota[label]))
            turns.append(np.full(quota[label], place))
    order = np.lexsort((np.concatenate(turns), np.concatenate(rounds)))
    together = [weight for weight in weights if weight is not None]
    return np.concatenate(picked)[order], np.concatenate(together)[order] if together else None
