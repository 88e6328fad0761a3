"""PNG files whose bytes depend on the pixels alone.

Compressed PNG bytes differ between zlib builds (zlib, zlib-ng, …), and shards must come out the
same on every machine. So the image data are stored, not compressed: deflate's stored blocks have
one form only. A CIFAR-100 image takes 3,172 bytes, where Pillow's PNG takes 2,225 on average.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_STORED = 0xFFFF  # the most bytes that one stored block can hold
_COLOUR = {1: 0, 3: 2}  # channels -> PNG colour type: grey, RGB


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Return the PNG file of an image, uint8 (H, W, 1) or (H, W, 3)."""
    height, width, channels = pixels.shape
    # Each line begins with its filter type: 0, none.
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = np.ascontiguousarray(pixels).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR[channels], 0, 0, 0)
    return (
        _SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", _stored(lines.tobytes()))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def _stored(content: bytes) -> bytes:
    """Wrap bytes as a zlib stream of stored blocks (RFC 1950, RFC 1951 section 3.2.4)."""
    blocks = [content[start : start + _STORED] for start in range(0, len(content), _STORED)]
    body = b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block
        for block in blocks
    )
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(content))
