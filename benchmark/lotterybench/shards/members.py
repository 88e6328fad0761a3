"""What a shard's tar holds: for each sample a label, an image file and, with targets, its target.

Names have one dot: readers take all that follows the first for the column.
"""

import io
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lotterybench.keyrings import file_key, pixel_key, short
from lotterybench.records import Base
from lotterybench.shards.index import ImageKind
from lotterybench.sources import image_kind

_BLOCK, _NAME = 512, 100  # bytes of a tar's block, and of the name that its header begins with
LARGEST = 64 * 2**20  # bytes of a member; an image of a base is far smaller
_FORMAT: dict[ImageKind, str] = {"png": "PNG", "jpg": "JPEG"}


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a USTAR archive whose bytes depend on names and contents alone."""
    with path.open("wb") as file:
        for name, content in members:
            file.write(_header(name, len(content)) + content + bytes(-len(content) % _BLOCK))
        file.write(bytes(2 * _BLOCK))  # the end, and the record that it lies in
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))


def _header(name: str, size: int) -> bytes:
    """Return a member's header as `tarfile` writes it, in a tenth of the time."""
    start, (rest, total) = name.encode("ascii").ljust(_NAME, b"\0"), _after_name(size)
    if len(start) > _NAME:
        raise ValueError(f"{name} has more than {_NAME} characters")
    return start + rest[:48] + b"%06o\0 " % (total + sum(start)) + rest[56:]


@lru_cache(maxsize=1024)
def _after_name(size: int) -> tuple[bytes, int]:
    """Return what follows a header's name, with a checksum of spaces, and the sum of its bytes."""
    info = tarfile.TarInfo()  # owner 0, no names, mtime 0
    info.size, info.mode = size, 0o644
    header = info.tobuf(tarfile.USTAR_FORMAT)[_NAME:]
    blank = header[:48] + b" " * 8 + header[56:]
    return blank, sum(blank)


def npy(target: NDArray[np.float16]) -> bytes:
    """Return a sample's target, float16 (d,), as the bytes of a `.npy` file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, target.astype("<f2"), version=(1, 0))
    return buffer.getvalue()


def sample_members(
    rows: NDArray[np.int64], labels: NDArray[np.int64], file: Callable[[int], bytes],
    image: ImageKind, targets: NDArray[np.float16] | None = None,
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """Yield the members of a tar of these samples; `file` reads the image at a position."""
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        yield f"{row:08d}.cls", str(label).encode()
        yield f"{row:08d}.{image}", file(row)
        if targets is not None:
            yield f"{row:08d}.npy", npy(targets[row])


def read_tar(
    path: Path, image: ImageKind, targets: bool = False
) -> Iterator[tuple[int, int, bytes, bytes | None]]:
    """Yield position, label, image file and, of tars with targets, `.npy` file of each sample.

    Raises `ValueError` for members that shards do not have, before their content is read, and
    what `tarfile` raises for a damaged tar.
    """
    with tarfile.open(path, "r:") as tar:
        while (first := tar.next()) is not None:
            second = tar.next()
            named = re.fullmatch(r"([0-9]{8})\.cls", first.name)
            if named is None or second is None or second.name != f"{named[1]}.{image}":
                raise ValueError(f"{first.name!a} does not begin a pair of .cls and .{image}")
            label = _content(tar, first)
            if not re.fullmatch(rb"[0-9]{1,5}", label):
                raise ValueError(f"{first.name} is no label")
            found = _content(tar, second)
            third = tar.next() if targets else None
            if targets and (third is None or third.name != f"{named[1]}.npy"):
                raise ValueError(f"{named[1]} has no target behind its .{image}")
            target = _content(tar, third) if third is not None else None
            yield int(named[1]), int(label), found, target


def image_key(content: bytes, base: Base, image: ImageKind) -> int:
    """Return the short key of an image file as it lies in a tar.

    Raises `ValueError` for an image that cannot be one of the base, before it is decoded, and
    what Pillow raises for a damaged one.
    """
    if base.key_kind == "encoded":
        if image_kind(content) is None:
            raise ValueError("an image is neither PNG nor JPEG")
        return int(short([file_key(content)])[0])
    with Image.open(io.BytesIO(content), formats=[_FORMAT[image]]) as picture:
        height, width = base.size
        if picture.size != (width, height) or picture.mode != base.mode:
            raise ValueError(
                f"an image is {picture.width}×{picture.height} {picture.mode}, "
                f"those of {base.id} are {width}×{height} {base.mode}"
            )
        return int(short([pixel_key(np.asarray(picture))])[0])


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isreg() and not member.issparse() else None
    if file is None:
        raise ValueError(f"{member.name!a} is no plain file")
    if member.size > LARGEST:
        raise ValueError(f"{member.name!a} says it has {member.size} bytes; {LARGEST} may be")
    return file.read()
