"""What may watch a training: each batch before its update, and each epoch's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


class Observer:
    """Sees every sample of every epoch; what it does must not change the training.

    A resumed training goes on after the last batch of its checkpoint: an observer is given back
    the state it had there, and sees again what came after. This one looks at nothing.
    """

    def batch(self, epoch: int, rows: Tensor, outputs: Tensor | None) -> None:
        """See a batch: `rows` int64 (n,) of the base, `outputs` (n, classes) before the update.

        `outputs` are the logits of the augmented images in training mode, detached, on the
        training's device; None for a method that has none.
        """

    def epoch(self, epoch: int, encoder: nn.Module, classifier: nn.Module | None) -> bool | None:
        """See the network after an epoch, in evaluation mode and without gradients.

        Returns True to end the training here.
        """
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what was gathered and not yet written; it is kept in checkpoints."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
