"""Listing files without holding them: keys, names and kinds, and where to read each again."""

import io
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadData
from lotterybench.keyrings import file_key
from lotterybench.progress import bar
from lotterybench.records import Origin, Split
from lotterybench.sources.base import ImageKind, Listing, image_kind

FEW = 32  # files a thread may hold at a time: 4 MB of ImageNet's
Files = Callable[[int, int], Iterable[tuple[bytes, str]]]  # rows -> content and name of each


class _Seen(NamedTuple):
    key: bytes
    name: str
    kind: ImageKind | None
    size: tuple[int, int] | None


def list_files(
    origin: Origin, split: Split, files: Files, labels: NDArray[np.int64],
    class_names: list[str], *, look: bool,
) -> Listing:  # fmt: skip
    """Hash a split's files, as many as there are labels; with `look`, decode each to see its size.

    Raises `BadData` naming the row of a file that is no image of the dataset, if one looks.
    """
    count = len(labels)

    def see(start: int) -> list[_Seen]:
        return [
            _Seen(
                file_key(content), name, image_kind(content),
                _size(origin, f"{split} row {row} ({name})", content) if look else None,
            )
            for row, (content, name) in enumerate(files(start, min(start + FEW, count)), start)
        ]  # fmt: skip

    keys: list[bytes] = []
    names: list[str] = []
    kinds: list[ImageKind | None] = []
    sizes: set[tuple[int, int]] = set()
    starts = range(0, count, FEW)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in bar(pool.map(see, starts), len(starts), f"reading {origin.id} {split}"):
            for seen in part:
                keys.append(seen.key)
                names.append(seen.name)
                kinds.append(seen.kind)
                if seen.size is not None:
                    sizes.add(seen.size)

    def content(row: int) -> bytes:
        [(found, name)] = files(row, row + 1)
        if file_key(found) != keys[row]:
            raise BadData(f"{origin.id}: {split} row {row} ({name}) was changed while it was read")
        return found

    return Listing(
        keys, labels, names, kinds, class_names,
        np.array(sorted(sizes), np.int64).reshape(-1, 2), content,
    )  # fmt: skip


def _size(origin: Origin, what: str, content: bytes) -> tuple[int, int]:
    """Return height and width of an image after decoding all of it, JPEG at an eighth."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            image.draft(None, (1, 1))  # a truncated file is noticed all the same
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0]
        raise BadData(f"{origin.id}: {what} is no readable image: {reason}") from None
    if origin.size not in (None, (height, width)):
        assert origin.size is not None
        raise BadData(
            f"{origin.id}: {what} is {width}×{height} pixels, not {origin.size[1]}×{origin.size[0]}"
        )
    return height, width
