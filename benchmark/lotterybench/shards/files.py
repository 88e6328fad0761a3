"""A base's images as files: those that it came in, or PNG made of its pixels."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.records import Base, Split
from lotterybench.shards.index import ImageKind
from lotterybench.shards.png import encode
from lotterybench.sources import files, images

STRAY = 1000  # ImageNet-1k has one PNG file, n02105855_2933.JPEG, among 1,281,167
Files = Callable[[int], bytes]  # from a position in a split to the bytes of its image file


def image_files(base: Base, split: Split, kind: ImageKind | None = None) -> tuple[ImageKind, Files]:
    """Return the kind of a split's image files, and the files by position.

    Files of a base keyed by file are read when they are asked for. Raises `BadRequest` if they are
    not all `kind`, by default that of most: readers go by content, so that up to one in `STRAY` may
    be of the other.
    """
    if base.key_kind == "pixels":
        return "png", _encoder(images(base.id, split).pixels)
    found = files(base.id, split)
    wanted = kind or kind_of_most(found.kinds)
    neither = [place for place, other in enumerate(found.kinds) if other is None]
    strays = [place for place, other in enumerate(found.kinds) if other != wanted]
    if neither or wanted is None or len(strays) * STRAY > len(found.kinds):
        place = (neither or strays)[0]
        other = found.kinds[place]
        what = f"a {other} file among {wanted} files" if other else "neither PNG nor JPEG"
        raise BadRequest(f"{base.id}: {split} position {place} is {what}; shards need one kind")
    return wanted, found.content


def kind_of_most(kinds: Sequence[ImageKind | None]) -> ImageKind | None:
    """Return the kind of most files; None if there is none that a shard may have."""
    counts = Counter([kind for kind in kinds if kind is not None])
    return counts.most_common(1)[0][0] if counts else None


def _encoder(pixels: NDArray[np.uint8]) -> Files:
    return lambda row: encode(pixels[row])
