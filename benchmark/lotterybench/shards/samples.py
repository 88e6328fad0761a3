"""Which samples a split of a subset holds, in which order, and their labels."""

import numpy as np
from numpy.typing import NDArray

from lotterybench.keyrings import Keyring
from lotterybench.records import Base, Split, Subset

Rows = NDArray[np.int64]


def samples_of(
    subset: Subset, positions: Rows | None, base: Base, keyring: Keyring, split: Split
) -> tuple[Rows, Rows]:
    """Return positions and labels of a split of a subset, in order: int64 (n,) each.

    `positions` are those to train on, None for a class list, which has labels of its own, from 0,
    and the test images of its classes. All other subsets have the base's whole test split.
    """
    new = np.arange(len(base.class_names))
    if subset.classes is not None:
        new = np.full(len(base.class_names), -1)
        new[base.class_indices(subset.classes)] = np.arange(len(subset.classes))
    labels = new[keyring.labels[split].astype(np.int64)]
    rows = np.flatnonzero(labels >= 0)
    if split == "train" and positions is not None:
        rows = positions
    return rows, labels[rows]
