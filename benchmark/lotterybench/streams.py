"""Streams: the rule that redraws a part of a training split for every epoch (protocol §10).

Epoch t of seed s takes the ⌊r·n⌋ samples with the smallest sha256 of the ASCII text `s|t|`
followed by the first 8 bytes of the sample's key; of equal hashes (exact duplicates) the lower
positions. Those 8 bytes are what a committed keyring holds, so that anyone can redraw a stream
from it, in any language: no library's generator is involved.
"""

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.progress import bar
from lotterybench.records import STREAM_EPOCHS, sha256_of

SHORT = 8  # bytes of a key that enter the hash
Keys = Sequence[bytes] | NDArray[np.uint64]


def size_of_epoch(count: int, ratio: float) -> int:
    """Return ⌊ratio · count⌋, the ratio taken as the decimal number that it is written as.

    So 0.29 of 100 samples are 29, though the nearest double is below. Raises `BadRequest` for a
    ratio outside (0, 1], and for one that takes no sample.
    """
    if not 0 < ratio <= 1:
        raise BadRequest(f"a stream's ratio is {ratio}; it is above 0 and at most 1")
    size = math.floor(Fraction(str(ratio)) * count)
    if size == 0:
        raise BadRequest(f"a stream of {ratio} of {count} samples is empty; give a larger ratio")
    return size


def positions_of_epoch(keys: Keys, seed: int, ratio: float, epoch: int) -> NDArray[np.int64]:
    """Return the positions that an epoch of a stream trains on: int64 (⌊ratio·n⌋,), ascending.

    `keys` are n full keys or their first 8 bytes, or a keyring's short keys, uint64 (n,); all three
    give the same stream. Raises `BadRequest` for another key, a ratio outside (0, 1] and a negative
    seed or epoch. Protocol §10.
    """
    short = _short(keys)
    size = size_of_epoch(len(short), ratio)
    if seed < 0 or epoch < 0:
        raise BadRequest(f"a stream has no epoch {epoch} of seed {seed}; both count from 0")
    start = f"{seed}|{epoch}|".encode()
    hashes = b"".join([hashlib.sha256(start + key).digest() for key in short])
    words = np.frombuffer(hashes, ">u8").astype(np.uint64).reshape(-1, 4)
    order = np.lexsort(words.T[::-1])  # stable: equal hashes stay in the order of positions
    return np.sort(order[:size]).astype(np.int64)


def digest_of_epoch(positions: NDArray[np.int64]) -> str:
    """Return the sha256 of an epoch's positions, ascending, as little-endian uint32."""
    return hashlib.sha256(np.sort(positions).astype("<u4").tobytes()).hexdigest()


def digests_of_epochs(
    keys: Keys, seed: int, ratio: float, epochs: int = STREAM_EPOCHS
) -> list[str]:
    """Return the digests of a stream's first epochs, as its manifest lists them."""
    short = _short(keys)
    return [
        digest_of_epoch(positions_of_epoch(short, seed, ratio, epoch))
        for epoch in bar(range(epochs), epochs, "drawing a stream")
    ]


def digest_of_epochs(keys: Keys, seed: int, ratio: float, epochs: int = STREAM_EPOCHS) -> str:
    """Return one sha256 for a stream's first epochs: of the canonical JSON of their digests."""
    return sha256_of(digests_of_epochs(keys, seed, ratio, epochs))


def _short(keys: Keys) -> list[bytes]:
    """Return the first 8 bytes of each key."""
    if isinstance(keys, np.ndarray):
        if keys.dtype != np.uint64:
            raise BadRequest(f"a stream's keys are bytes or uint64, not {keys.dtype}")
        content = keys.astype(">u8").tobytes()
        return [content[at : at + SHORT] for at in range(0, len(content), SHORT)]
    strange = next((key for key in keys if len(key) not in (SHORT, 32)), None)
    if strange is not None:
        raise BadRequest(f"a stream's key has {len(strange)} bytes; it has 8, or all 32")
    return [bytes(key[:SHORT]) for key in keys]
