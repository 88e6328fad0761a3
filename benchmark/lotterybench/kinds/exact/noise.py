"""Where an enumerated run's noise comes from, and what it decides: folds, start and order."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from lotterybench.kinds.exact.plan import FOLDS, classes_in, data_digest
from lotterybench.records import Base, sha256_of
from lotterybench.trials import Cheaper, Configuration, Track

Rows = NDArray[np.int64]


def identity(
    track: Track, base: Base, subset: int, entry: Configuration, arm: Cheaper | None = None
) -> str:
    """Return what a subset's runs of a configuration are told apart by, seeds aside."""
    digest = data_digest(base, subset)
    what = [track.name, track.version, digest, entry.method, entry.config]
    return sha256_of([*what, str(arm)] if arm else what)


def stream(run: str, index: int, name: str) -> int:
    """Return the 64-bit seed of a stream of the `index`-th repeat or seed of an identity.

    An enumeration has about 10⁶ streams, of which about 100 would be pairs by chance if their
    seeds had 32 bits.
    """
    return int.from_bytes(hashlib.sha256(f"{run}|{index}|{name}".encode()).digest()[:8], "big")


def folds(labels: NDArray[np.int64], subset: int, seed: int) -> NDArray[np.int8]:
    """Deal the images of a subset's classes into three folds; others are in fold -1.

    Each class is shuffled and dealt on where the last one ended, so that neither the folds of a
    class nor those of the whole differ by more than one image.
    """
    noise = np.random.default_rng(seed)
    rows = np.concatenate(
        [noise.permutation(np.flatnonzero(labels == each)) for each in classes_in(subset)]
    )
    found = np.full(len(labels), -1, np.int8)
    found[rows] = np.arange(len(rows)) % FOLDS
    return found


def order(rows: Rows, steps: int, batch: int, seed: int) -> Rows:
    """Return the rows that each step shows, (steps, batch): one shuffle of all after another."""
    noise = np.random.default_rng(seed)
    passes = -(-steps * batch // len(rows))
    shown = np.concatenate([noise.permutation(rows) for _ in range(passes)])
    return shown[: steps * batch].reshape(steps, batch)
