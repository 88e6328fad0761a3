"""Stored PNG against Pillow's: processor time to encode and to decode, and bytes.

Needs the images of CIFAR-100 (`LOTTERYBENCH_DATA` or the Hub). Prints ratios to Pillow in one run:

    python benchmark/speed/png.py
"""

import io
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lotterybench.provenance import processor
from lotterybench.shards.png import encode
from lotterybench.sources import images

COUNT, REPEATS = 5_000, 5


def pillow(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an image as Pillow does by default."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def decode(content: bytes) -> None:
    """Decode an image with Pillow."""
    Image.open(io.BytesIO(content)).load()


def seconds(work: Callable[[], object]) -> float:
    """Return the median processor time of a piece of work."""
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main() -> None:
    """Measure and print."""
    pixels = images("cifar100", "train").pixels[:COUNT]
    files = {name: [f(p) for p in pixels] for name, f in (("ours", encode), ("pillow", pillow))}
    found = {
        "processor": processor(),
        "images": COUNT,
        "encode, ours / Pillow": seconds(lambda: [encode(p) for p in pixels])
        / seconds(lambda: [pillow(p) for p in pixels]),
        "decode, ours / Pillow": seconds(lambda: [decode(f) for f in files["ours"]])
        / seconds(lambda: [decode(f) for f in files["pillow"]]),
        "bytes, ours / Pillow": sum(map(len, files["ours"])) / sum(map(len, files["pillow"])),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
