"""What may watch a training: each batch before its update, and each epoch's end."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class Observer(Protocol):
    """Sees every sample of every epoch; what it does must not change the training.

    A resumed training calls `batch` again for batches after the checkpoint, so an observer that
    writes keys what it writes by (epoch, row).
    """

    def batch(self, epoch: int, rows: Tensor, outputs: Tensor | None) -> None:
        """See a batch: `rows` int64 (n,) of the base, `outputs` (n, classes) before the update.

        `outputs` are the logits of the augmented images in training mode, detached, on the
        training's device; None for a method that has none.
        """
        ...

    def epoch(self, epoch: int, encoder: nn.Module, classifier: nn.Module | None) -> None:
        """See the network after an epoch, in evaluation mode and without gradients."""
        ...
