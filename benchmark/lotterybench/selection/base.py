"""The shape of a selector, and what it declares about itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lotterybench.registry import Registry


@dataclass(frozen=True)
class Pool:
    """What a selector sees of a training split: labels int64 (N,) in canonical order, no pixels."""

    labels: NDArray[np.int64]
    classes: int


# (pool, size, rng, **settings) -> int64 (size,): positions in rank order, or classes.
Select = Callable[..., NDArray[np.int64]]


@dataclass(frozen=True)
class Selector:
    """A selection function with its declarations.

    `kind` is what it returns; `nests` says that with equal seed and settings a smaller budget's
    selection is contained in a larger one's; `labels` that it reads labels; `balanced` that
    class counts differ by one at most.
    """

    select: Select
    kind: Literal["samples", "classes"]
    nests: bool
    labels: bool = False
    balanced: bool = False

    @property
    def summary(self) -> str:
        """The first line of the function's documentation."""
        return (self.select.__doc__ or "").strip().splitlines()[0]


selector: Registry[Selector] = Registry("selector")


def samples(
    name: str, *, nests: bool, labels: bool = False, balanced: bool = False
) -> Callable[[Select], Select]:
    """Register a function that returns positions in the training split."""
    return _register(name, "samples", nests, labels, balanced)


def classes(name: str, *, nests: bool, labels: bool = False) -> Callable[[Select], Select]:
    """Register a function that returns classes."""
    return _register(name, "classes", nests, labels, False)


def _register(
    name: str, kind: Literal["samples", "classes"], nests: bool, labels: bool, balanced: bool
) -> Callable[[Select], Select]:
    def add(select: Select) -> Select:
        selector.add(name, Selector(select, kind, nests, labels, balanced))
        return select

    return add
