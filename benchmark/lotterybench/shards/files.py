"""A base's images as files: those that it came in, or PNG made of its pixels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.records import Base, Split
from lotterybench.shards.index import ImageKind
from lotterybench.shards.members import image_kind
from lotterybench.shards.png import encode
from lotterybench.sources import encoded, images

Files = Callable[[int], bytes]  # from a position in a split to the bytes of its image file


def image_files(base: Base, split: Split, kind: ImageKind | None = None) -> tuple[ImageKind, Files]:
    """Return the kind of a split's image files, and the files by position.

    Raises `BadRequest` if the files of a base keyed by file are not all `kind`, by default that of
    the first.
    """
    if base.key_kind == "pixels":
        return "png", _encoder(images(base.id, split).pixels)
    files = encoded(base.id, split)
    wanted = kind or image_kind(files[0])
    for position, content in enumerate(files):
        found = image_kind(content)
        if found is None or found != wanted:
            what = f"a {found} file among {wanted} files" if found else "neither PNG nor JPEG"
            raise BadRequest(
                f"{base.id}: {split} position {position} is {what}; shards need one kind"
            )
    assert wanted is not None
    return wanted, files.__getitem__


def _encoder(pixels: NDArray[np.uint8]) -> Files:
    return lambda row: encode(pixels[row])
