"""Segmentation: each cell says a class, and what it says is interpolated to pixels.

As FCN (Long et al. 2015), from one grid.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.backbones import encoder, family, seeded
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.dense.grids import (
    HIDDEN,
    STRIDE,
    Neck,
    channels_of,
    grid_of,
    said_of,
)
from lotterybench.methods.base.dense.scenes import IGNORED, Scenes, check_targets, mirrored
from lotterybench.methods.base.shape import Learner, Schedule, Task


class SegmentationHead(nn.Module):
    """Map a grid (n, channels, g, g) to logits of background and classes, for every pixel."""

    def __init__(self, channels: int, classes: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.neck = Neck(channels, side // STRIDE)
        self.classes = nn.Conv2d(HIDDEN, 1 + classes, 1)

    def forward(self, grid: Tensor) -> Tensor:
        """Return logits (n, 1 + classes, side, side)."""
        said = cast(Tensor, self.classes(self.neck(grid)))
        return F.interpolate(said, size=(self.side, self.side), mode="bilinear")


def segmentation(
    task: Task,
    targets: Scenes,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 64,
    weight_decay: float | None = None,
    width: float = 1.0,
) -> Learner:
    """Train a backbone and a segmentation head on the masks of `targets`, one for each image.

    The loss of an image is the mean cross-entropy of its pixels that are not `IGNORED`. Images are
    mirrored where the task allows it. `classifier` is the head, which reads the encoder's grid, not
    its features. Optimiser and, unless given, weight decay are the backbone's own. Raises
    `UnknownName` for the backbone and `BadRequest` for targets of other images or classes.
    """
    check_targets(task, targets)
    kind = family(backbone)
    body = encoder(backbone, task, width)
    with seeded(task.stream("head")):
        head = SegmentationHead(channels_of(body, task), task.classes, targets.side)
    head.to(task.device)
    masks = targets.masks.to(task.device)

    def loss(batch: Batch) -> Tensor:
        turned = batch.draws.chance(0.5 if task.mirror else 0.0)
        images = normalise(mirrored(batch.images, turned))
        wanted = mirrored(masks[batch.rows], turned)
        return segmentation_loss(head(grid_of(body, images)), wanted)

    decay = kind.weight_decay if weight_decay is None else weight_decay
    return Learner(
        encoder=body,
        net=nn.Sequential(body, head),
        loss=loss,
        schedule=Schedule(epochs, lr, batch, kind.optimiser, decay),
        classifier=head,
    )


def segmentation_loss(said: Tensor, masks: Tensor) -> Tensor:
    """Return the mean loss of images: logits (n, 1 + classes, S, S), masks uint8 (n, S, S)."""
    each = F.cross_entropy(said, masks.long(), ignore_index=IGNORED, reduction="none")
    told = (masks != IGNORED).sum(dim=(1, 2))
    return (each.sum(dim=(1, 2)) / told.clamp(min=1)).mean()


@torch.no_grad()
def segment(encoder: nn.Module, head: nn.Module, images: Tensor) -> Tensor:
    """Return the class of every pixel of uint8 images (n, C, S, S): uint8 (n, S, S).

    0 is the background, 1 the first class. The modules' mode stays as it is.
    """
    return torch.cat([said.argmax(1).to(torch.uint8) for said in said_of(encoder, head, images)])
