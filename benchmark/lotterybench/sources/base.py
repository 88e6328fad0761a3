"""The shape of a source: it reads one split of a copy, in whatever order the copy has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadData
from lotterybench.records import Origin, Split
from lotterybench.registry import Registry

ImageKind = Literal["png", "jpg"]
_MAGIC: dict[ImageKind, bytes] = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff"}


def image_kind(content: bytes) -> ImageKind | None:
    """Return the extension that an image file's first bytes call for; None for other formats."""
    return next((kind for kind, magic in _MAGIC.items() if content.startswith(magic)), None)


@dataclass(frozen=True)
class Copy:
    """One split of a copy, in the copy's own row order.

    `pixels` is uint8 (N, H, W, C); `keys` are full keys
    (32 bytes each); `labels` int64 (N,); `names` say which row is meant in a message.
    """

    keys: list[bytes]
    labels: NDArray[np.int64]
    names: list[str]
    pixels: NDArray[np.uint8]
    class_names: list[str]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The heights and widths that occur, int64 (1, 2)."""
        return np.array([self.pixels.shape[1:3]], np.int64)


@dataclass(frozen=True)
class Listing:
    """One split of a copy whose files stay where they are, in the copy's own row order.

    `keys`, `labels` and `names` as of a `Copy`; `kinds` are the files' own; `sizes` the heights
    and widths that occur, int64 (n, 2), if they were looked at; `content(row)` reads a file.
    """

    keys: list[bytes]
    labels: NDArray[np.int64]
    names: list[str]
    kinds: list[ImageKind | None]
    class_names: list[str]
    sizes: NDArray[np.int64]
    content: Callable[[int], bytes]


@dataclass(frozen=True)
class Images:
    """One split in canonical order: pixels uint8 (N, H, W, C), labels int64 (N,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Source:
    """How one kind of copy is read.

    `read` returns a split; `listing` the same without holding its images; `settle` fills in what
    only the place itself knows (a revision); `fingerprint` returns text that changes when the copy
    on this machine may have changed (None: nothing is cached).
    """

    def settle(self, origin: Origin) -> Origin:
        """Return the origin with a pinned revision."""
        return origin

    def read(self, origin: Origin, split: Split) -> Copy:
        """Read one split."""
        raise NotImplementedError

    def listing(self, origin: Origin, split: Split, *, look: bool = False) -> Listing:
        """Read one split of a dataset keyed by file, file by file; `look` decodes each, too.

        Raises `BadData` for a dataset keyed by pixels, and naming the row of a file that is no
        image of it, if one looks.
        """
        raise BadData(f"{origin.id} is keyed by pixels; it has no files of its own")

    def fingerprint(self, origin: Origin, split: Split) -> str | None:
        """Return text that changes when the copy may have changed."""
        return None


source: Registry[Source] = Registry("source")
