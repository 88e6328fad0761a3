"""The 1,797 handwritten digits that ship inside scikit-learn: 8×8 grey, no download."""

from importlib.metadata import version

import numpy as np

from lotterybench.keyrings import canonical_order, pixel_key
from lotterybench.records import Origin, Split
from lotterybench.sources.base import Copy, Source, source


class Digits(Source):
    """scikit-learn's copy of the UCI optical digits, split by content.

    The copy has no split of its own: in each class the third of the samples with the smallest
    keys is the test split. Grey levels 0..16 are stretched to 0..255 (v · 255 // 16).
    """

    def read(self, origin: Origin, split: Split) -> Copy:
        """Return one split, in scikit-learn's row order."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = (bunch.images.astype(np.int64) * 255 // 16).astype(np.uint8)
        labels = bunch.target.astype(np.int64)
        keys = [pixel_key(image) for image in pixels]
        order = canonical_order(keys, labels)
        of_class = [order[labels[order] == label] for label in range(10)]
        tests = np.concatenate([rows[: len(rows) // 3] for rows in of_class])
        is_test = np.isin(np.arange(len(labels)), tests)
        rows = np.flatnonzero(is_test if split == "test" else ~is_test)
        return Copy(
            keys=[keys[row] for row in rows],
            labels=labels[rows],
            names=[f"load_digits()[{row}]" for row in rows],
            pixels=pixels[rows][..., None],
            class_names=[str(digit) for digit in range(10)],
        )

    def fingerprint(self, origin: Origin, split: Split) -> str:
        """Return scikit-learn's version: importing it takes seconds, its data never change."""
        return f"scikit-learn {version('scikit-learn')}"


source.add("digits", Digits())
