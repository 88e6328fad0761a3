"""Which classes a model ranks above the true one, test image by test image."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lotterybench.items import packed


@torch.no_grad()
def outranking(scores: Tensor, labels: Tensor) -> Tensor:
    """Return whether each class outranks the label's: bool (n, classes), of scores of that shape.

    Ties are broken as argmax breaks them: an equal score of a lower class outranks, and so does
    one that is no number. So the label is the argmax over some classes, itself among them, iff
    none of these outranks it.
    """
    own = scores.gather(1, labels[:, None])
    lower = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    nan, own_nan = scores.isnan(), own.isnan()
    above = (scores > own) | (nan & ~own_nan)
    level = (scores == own) | (nan & own_nan)
    return above | (level & lower)


class Outranked:
    """Watches a model's scores and keeps, of each image in turn, the classes that outrank its own.

    It is called with scores (n, classes) and labels (n,); `packed` are the bits of all parts,
    uint8 (T, ⌈classes / 8⌉).
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[np.uint8]] = []

    def __call__(self, scores: Tensor, labels: Tensor) -> None:
        self._parts.append(packed(outranking(scores, labels).cpu().numpy()))

    def packed(self) -> NDArray[np.uint8]:
        """Return the bits of all images that were seen."""
        return np.concatenate(self._parts)
