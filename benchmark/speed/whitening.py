"""The memory and time of whitening features that are never held at once, beside sklearn's PCA.

Features of as many images as ImageNet has are made block by block, added up and thrown away. The
peer is `IncrementalPCA` on fewer rows, whose cost a row does not depend on their number; both are
then compared in what they find there. Needs no data:

    python benchmark/speed/whitening.py [--rows 1281167] [--width 512] [--threads 1]
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import IncrementalPCA

from lotterybench.methods.base.whitening import Moments, Whitening
from lotterybench.provenance import processor, versions

BLOCK = 4096  # rows made at a time


def blocks(rows: int, width: int) -> Iterator[torch.Tensor]:
    """Yield synthetic features, float32 (n, width), with variances that are apart."""
    noise = torch.Generator().manual_seed(0)
    spread = 1 / (1 + torch.arange(width)).sqrt()
    for start in range(0, rows, BLOCK):
        size = min(BLOCK, rows - start)
        yield torch.randn(size, width, generator=noise) * spread + 1


def streamed(rows: int, width: int) -> tuple[Whitening, dict[str, float]]:
    """Return the whitening of all rows, and the seconds that its parts took."""
    moments, seconds = Moments(), {"adding up": 0.0, "making features": 0.0}
    turn = time.perf_counter()
    for block in blocks(rows, width):
        made = time.perf_counter()
        moments.add(block)
        done = time.perf_counter()
        seconds["making features"] += made - turn
        seconds["adding up"] += done - made
        turn = done
    found = Whitening.of(moments, width)
    seconds["axes"] = time.perf_counter() - turn
    return found, seconds


def peer(rows: int, width: int) -> tuple[IncrementalPCA, float]:
    """Return sklearn's whitening of the same blocks, and its seconds."""
    made, seconds = IncrementalPCA(whiten=True), 0.0
    for block in blocks(rows, width):
        began = time.perf_counter()
        made.partial_fit(block.double().numpy())  # in singles it is off by 4e-3
        seconds += time.perf_counter() - began
    return made, seconds


def difference(ours: Whitening, theirs: IncrementalPCA, rows: int, width: int) -> float:
    """Return the largest difference of whitened features, whatever the signs of the axes.

    Over a block of the rows fitted; sklearn divides variances by n − 1.
    """
    block = next(blocks(rows, width))
    found = ours(block).numpy()
    want = theirs.transform(block.double().numpy()) * np.sqrt(rows / (rows - 1))
    return float(np.abs(found * np.sign((found * want).sum(0)) - want).max())


def peak() -> float:
    """Return this process's peak of memory in MB.

    `ru_maxrss` would be the largest of this process and of what started it.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_281_167)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--peer-rows", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    before = peak()
    _, seconds = streamed(given.rows, given.width)
    after = peak()  # before sklearn's part, which holds more
    few, ours = streamed(given.peer_rows, given.width)
    theirs, theirs_seconds = peer(given.peer_rows, given.width)
    report: dict[str, Any] = {
        "rows": given.rows, "width": given.width, "peer rows": given.peer_rows,
        "threads": given.threads, "processor": processor(), "cores": os.cpu_count(),
        "software": versions("numpy", "torch", "scikit-learn"),
        "features MB": round(4 * given.rows * given.width / 1e6),
        "peak MB before": round(before), "peak MB": round(after),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "streamed / sklearn": round((ours["adding up"] + ours["axes"]) / theirs_seconds, 3),
        "largest difference from sklearn": difference(few, theirs, given.peer_rows, given.width),
    }  # fmt: skip
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
