"""Detection without anchors, at one level: each cell says a class and a box.

As FCOS (Tian et al. 2019) with centre sampling, but for its centre-ness: a cell's box is an offset
of its middle and the logarithms of its sides, so that the cell that holds an object's middle learns
it however thin the object is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import (  # type: ignore[import-untyped]
    batched_nms,
    clip_boxes_to_image,
    generalized_box_iou_loss,
    sigmoid_focal_loss,
)

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
from lotterybench.methods.base.dense.scenes import (
    NONE,
    Scenes,
    check_targets,
    mirrored,
    mirrored_boxes,
)
from lotterybench.methods.base.shape import Learner, Schedule, Task

RADIUS = 1.5  # cells from an object's middle that learn it (FCOS)
PRIOR = 0.01  # what an untrained cell says of each class (Lin et al. 2017)
MOST = 100  # objects found of an image (COCO)


class Detections(NamedTuple):
    """What is found in an image, the surest first: boxes (k, 4), labels and scores (k,)."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


class DetectionHead(nn.Module):
    """Map a grid (n, channels, g, g) to logits and box numbers: (n, classes + 4, c, c)."""

    def __init__(self, channels: int, classes: int, cells: int) -> None:
        super().__init__()
        self.neck = Neck(channels, cells)
        self.classes = nn.Conv2d(HIDDEN, classes, 1)
        self.boxes = nn.Conv2d(HIDDEN, 4, 1)
        for layer in (self.classes, self.boxes):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.classes.bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]

    def forward(self, grid: Tensor) -> Tensor:
        """Return logits of the classes, then dx, dy, log w and log h in units of a cell."""
        found = self.neck(grid)
        return torch.cat((self.classes(found), self.boxes(found)), dim=1)


def detection(
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
    """Train a backbone and a detection head on the boxes of `targets`, one for each image.

    The loss of an image is focal loss of the classes plus 1 − GIoU of the boxes, both summed over
    cells and divided by the number of cells that learn an object. Images are mirrored where the
    task allows it. `classifier` is the head, which reads the encoder's grid, not its features.
    Optimiser and, unless given, weight decay are the backbone's own. Raises `UnknownName` for the
    backbone and `BadRequest` for targets of other images or classes.
    """
    check_targets(task, targets)
    kind = family(backbone)
    body = encoder(backbone, task, width)
    side = targets.side
    with seeded(task.stream("head")):
        head = DetectionHead(channels_of(body, task), task.classes, side // STRIDE)
    head.to(task.device)
    truth = targets.to(task.device)

    def loss(batch: Batch) -> Tensor:
        turned = batch.draws.chance(0.5 if task.mirror else 0.0)
        images = normalise(mirrored(batch.images, turned))
        boxes = mirrored_boxes(truth.boxes[batch.rows], turned, side)
        said = head(grid_of(body, images)).float()
        return detection_loss(said, boxes, truth.labels[batch.rows], side)

    decay = kind.weight_decay if weight_decay is None else weight_decay
    return Learner(
        encoder=body,
        net=nn.Sequential(body, head),
        loss=loss,
        schedule=Schedule(epochs, lr, batch, kind.optimiser, decay),
        classifier=head,
    )


def detection_loss(said: Tensor, boxes: Tensor, labels: Tensor, side: int) -> Tensor:
    """Return the mean loss of images of `side` pixels: `said` (n, classes + 4, c, c).

    `boxes` is (n, M, 4), `labels` (n, M), `NONE` where there is no object.
    """
    logits, found = decoded(said, side)
    chosen = assigned(boxes, labels, said.shape[-1], side)
    learns = chosen != NONE
    of = chosen.clamp(min=0)
    if labels.shape[1] == 0:  # nothing to gather from
        boxes, labels = boxes.new_zeros(len(boxes), 1, 4), labels.new_full((len(labels), 1), NONE)
    classes = torch.arange(logits.shape[2], device=said.device)
    wanted = (labels.gather(1, of)[..., None] == classes) & learns[..., None]
    focal = sigmoid_focal_loss(logits, wanted.to(logits.dtype)).sum(dim=(1, 2))
    goal = boxes.gather(1, of[..., None].expand(-1, -1, 4))
    goal = torch.where(learns[..., None], goal, found.detach())
    apart = (generalized_box_iou_loss(found, goal) * learns).sum(dim=1)
    each: Tensor = (focal + apart) / learns.sum(dim=1).clamp(min=1)
    return each.mean()


def decoded(said: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return logits (n, cells, classes) and boxes (n, cells, 4) in pixels, cells row by row."""
    cell = side / said.shape[-1]
    by_cell = said.flatten(2).transpose(1, 2)
    logits, offset, size = by_cell[..., :-4], by_cell[..., -4:-2], by_cell[..., -2:]
    middle = middles(said.shape[-1], side, said.device) + offset * cell
    # no side beyond the image's own, whatever an untrained net says
    half = size.clamp(max=math.log(said.shape[-1])).exp() * cell / 2
    return logits, torch.cat((middle - half, middle + half), dim=2)


def middles(cells: int, side: int, device: torch.device) -> Tensor:
    """Return the middles (x, y) of cells in pixels, row by row: (cells², 2)."""
    along = (torch.arange(cells, device=device) + 0.5) * (side / cells)
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack((x, y), dim=-1).flatten(0, 1)


def assigned(boxes: Tensor, labels: Tensor, cells: int, side: int) -> Tensor:
    """Return which object each cell learns, `NONE` for none: (n, cells²).

    The cell that holds an object's middle learns it, and so do those within `RADIUS` cells of it
    whose own middle lies in the box; of several objects a cell learns one whose middle it holds,
    then the smallest.
    """
    count, most = labels.shape
    if most == 0:
        return labels.new_full((count, cells * cells), NONE)
    cell = side / cells
    middle = middles(cells, side, boxes.device)[:, None]
    left_top, right_bottom = boxes[:, None, :, :2], boxes[:, None, :, 2:]
    centre = (left_top + right_bottom) / 2
    inside = ((middle > left_top) & (middle < right_bottom)).all(-1)
    near = ((middle - centre).abs() < RADIUS * cell).all(-1)
    at = (centre / cell).floor().clamp(0, cells - 1)
    holds = (((middle / cell).floor()) == at).all(-1)
    area = (right_bottom - left_top).prod(-1) - holds * 2.0 * side * side
    learnable = (labels[:, None] != NONE) & (inside & near | holds)
    least, which = torch.where(learnable, area, torch.inf).min(dim=2)
    return torch.where(least < torch.inf, which, NONE)


@torch.no_grad()
def detect(
    encoder: nn.Module,
    head: nn.Module,
    images: Tensor,
    *,
    surer: float = 0.05,
    apart: float = 0.5,
    most: int = MOST,
) -> list[Detections]:
    """Return what is found in each of uint8 images (n, C, S, S), at most `most` objects.

    Boxes are in pixels, within the image. Scores are above `surer`; of two boxes of a class whose
    IoU is above `apart` the surer one is kept. The modules' mode stays as it is.
    """
    side = images.shape[-1]
    found: list[Detections] = []
    for said in said_of(encoder, head, images):
        logits, boxes = decoded(said.float(), side)
        boxes = clip_boxes_to_image(boxes, (side, side))
        found += [
            _kept(*each, surer, apart, most) for each in zip(logits.sigmoid(), boxes, strict=True)
        ]
    return found


def _kept(scores: Tensor, boxes: Tensor, surer: float, apart: float, most: int) -> Detections:
    cell, label = torch.nonzero(scores > surer, as_tuple=True)
    sure, where = scores[cell, label], boxes[cell]
    kept = batched_nms(where, sure, label, apart)[:most]
    return Detections(where[kept], label[kept], sure[kept])
