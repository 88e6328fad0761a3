"""Reading the samples of a tar that lies in memory, and whose sha256 was checked.

`tarfile` takes longer for a small image's two headers than Pillow for the image.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadShards
from lotterybench.shards.index import ImageKind

BLOCK = 512
NAME = slice(0, 100)
SIZE = slice(124, 136)
KIND = 156
REGULAR = b"0\0"  # what a plain file's type may be
LABEL = re.compile(rb"([0-9]{8})\.cls")


class Samples(NamedTuple):
    """What a tar holds, in its order: positions and labels, int64 (n,), image files, targets.

    A target is the bytes of a `.npy` file; of tars without targets, `targets` is empty.
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int64]
    images: list[bytes]
    targets: list[bytes]


def read_samples(content: bytes, path: str, image: ImageKind, *, targets: bool = False) -> Samples:
    """Return the samples of a tar's bytes; raise `BadShards` for one that is no shard.

    Headers' own checksums are not looked at: whoever calls this has checked all bytes.
    """
    positions, labels, images, found = [], [], [], []
    members = _members(content, path)
    for name, label in members:
        named = LABEL.fullmatch(name)
        if named is None or not label.isdigit() or len(label) > 5:
            raise BadShards(f"{path}: {name!a} does not begin a sample with a label")
        images.append(_next(members, path, named[1], image))
        if targets:
            found.append(_next(members, path, named[1], "npy"))
        positions.append(int(named[1]))
        labels.append(int(label))
    return Samples(np.array(positions, np.int64), np.array(labels, np.int64), images, found)


def _next(members: Iterator[tuple[bytes, bytes]], path: str, key: bytes, end: str) -> bytes:
    """Return the content of the next member, which must be that of a sample."""
    name, content = next(members, (b"", b""))
    if name != key + b"." + end.encode():
        raise BadShards(f"{path}: sample {key.decode()} has no .{end} where it should be")
    return content


def _members(content: bytes, path: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and content of each member, up to the empty block that ends a tar."""
    start = 0
    while header := content[start : start + BLOCK]:
        if not header[0]:
            return
        digits = header[SIZE].rstrip(b"\0 ")
        if len(header) < BLOCK or header[KIND] not in REGULAR or not digits.isdigit():
            break
        try:
            size = int(digits, 8)
        except ValueError:  # an 8 or a 9
            break
        start += BLOCK
        member = content[start : start + size]
        if len(member) < size:
            break
        yield header[NAME].rstrip(b"\0"), member
        start += -(-size // BLOCK) * BLOCK
    raise BadShards(f"{path} is cut short or holds what is no plain file")
