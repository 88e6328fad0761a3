"""The shape of a source: it reads one split of a copy, in whatever order the copy has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lotterybench.records import Origin, Split
from lotterybench.registry import Registry


@dataclass(frozen=True)
class Copy:
    """One split of a copy, in the copy's own row order.

    `pixels` is uint8 (N, H, W, C); `keys` are full keys
    (32 bytes each); `labels` int64 (N,); `names` say which row is meant in a message; `encoded`
    holds the files as they came, for bases whose keys are of files.
    """

    keys: list[bytes]
    labels: NDArray[np.int64]
    names: list[str]
    pixels: NDArray[np.uint8]
    class_names: list[str]
    encoded: list[bytes] | None = None


@dataclass(frozen=True)
class Images:
    """One split in canonical order: pixels uint8 (N, H, W, C), labels int64 (N,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Source:
    """How one kind of copy is read.

    `read` returns a split; `settle` fills in what only the place itself knows (a revision);
    `fingerprint` returns text that changes when the copy on this machine may have changed (None:
    nothing is cached).
    """

    def settle(self, origin: Origin) -> Origin:
        """Return the origin with a pinned revision."""
        return origin

    def read(self, origin: Origin, split: Split) -> Copy:
        """Read one split."""
        raise NotImplementedError

    def fingerprint(self, origin: Origin, split: Split) -> str | None:
        """Return text that changes when the copy may have changed."""
        return None


source: Registry[Source] = Registry("source")
