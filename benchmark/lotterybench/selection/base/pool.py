"""What a selector sees: labels, recorded signals and the names of classes; no pixels, no files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.signals import Arrays, Signals

NOTHING = Arrays()


@dataclass(frozen=True)
class Pool:
    """A training split in canonical order.

    `labels` is int64 (N,), below `classes`. `signals` are what proxies recorded of the base, and
    `rows` the positions of these N samples in them (None: all, in order). `names` and `paths` are
    the class names and their WordNet paths, from the root `entity` to the synset itself; an empty
    path means that the class has none. `lemmas` names the synsets, and `lists` are published lists
    of classes as synsets.
    """

    labels: NDArray[np.int64]
    classes: int
    signals: Signals = NOTHING
    rows: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    lemmas: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Pool:
        """Return the pool of some samples, in the order given."""
        inside = rows if self.rows is None else self.rows[rows]
        return replace(self, labels=self.labels[rows], rows=inside)

    def epochs(self, name: str) -> list[NDArray[np.float32]]:
        """Return a per-epoch signal as float32 (E, N), one array per recorded proxy.

        Raises `BadRequest` where it was not recorded or is not finite.
        """
        return [self._sound(name, found) for found in self.signals.epochs(name)]

    def samples(self, name: str) -> NDArray[np.float32]:
        """Return a per-sample signal as float32 (N,) or (N, d); raises as `epochs` does."""
        return self._sound(name, self.signals.samples(name).T).T

    def methods(self, name: str) -> Iterator[NDArray[np.float32]]:
        """Yield a signal of each configuration of a choose pool as float32 (N, …), one at a time.

        Raises as `epochs` does.
        """
        for found in self.signals.methods(name):
            yield self._sound(name, found.T).T

    def _sound(self, name: str, found: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the pool's part of an array (…, all N) as contiguous finite float32."""
        if self.rows is None and found.shape[-1] != len(self):
            raise BadRequest(
                f"the signal {name} is of {found.shape[-1]} samples, the base has {len(self)}: "
                "signals of another base"
            )
        part = found if self.rows is None else found[..., self.rows]
        values = np.ascontiguousarray(part.T, dtype=np.float32).T
        if not np.isfinite(values).all():
            bad = int(np.argwhere(~np.isfinite(values))[0][-1])
            raise BadRequest(f"the signal {name} is not a finite number at sample {bad}")
        return values

    @cached_property
    def by_class(self) -> list[NDArray[np.int64]]:
        """The positions of each class, in ascending order."""
        order = np.argsort(self.labels, kind="stable")
        ends = np.searchsorted(self.labels[order], np.arange(self.classes), side="right")
        return np.split(order, ends[:-1])
