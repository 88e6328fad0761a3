"""Training and validation samples of a study, the same for all its arms and seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.methods.base.shape import stream
from lotterybench.records import Base


class Split(NamedTuple):
    """Positions in the base's training split, ascending int64: to train on, and held out."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


def split_of(base: Base, share: float, how: str) -> Split:
    """Hold out `share` of a base's training split: at random (of the base alone), or its end."""
    count = base.splits["train"].rows
    held = round(share * count)
    order = np.arange(count)
    if how == "random":
        order = np.random.default_rng(stream(base.digest, f"validation|{held}")).permutation(count)
    return Split(np.sort(order[: count - held]), np.sort(order[count - held :]))
