"""Images with exact boxes and a class for every pixel: what dense tasks are learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.shape import Task

BACKGROUND = 0
IGNORED = 255  # a pixel of which the truth is not known, as PASCAL VOC marks outlines
NONE = -1  # the label and the row of a place that holds no object


@dataclass(frozen=True)
class Scenes:
    """N square images of S pixels a side, each with up to M objects.

    `images` is uint8 (N, C, S, S). `masks` is uint8 (N, S, S): `BACKGROUND`, 1 + class, or
    `IGNORED`. `boxes` is float32 (N, M, 4), left, top, right and bottom in pixels, right and bottom
    exclusive. `labels` and `rows` are int64 (N, M): an object's class and the source image it was
    taken from, `NONE` where there is no object. `difficult` is bool (N, M): objects that may be
    found and need not be.
    """

    images: Tensor
    masks: Tensor
    boxes: Tensor
    labels: Tensor
    rows: Tensor
    difficult: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def side(self) -> int:
        """The side of an image in pixels."""
        return int(self.images.shape[-1])

    def to(self, device: torch.device) -> Scenes:
        """Return the same scenes on a device."""
        return Scenes(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def data(self) -> Resident:
        """Return the images as a training set; its labels say nothing (0), its rows are scenes."""
        place = self.images.device
        rows = torch.arange(len(self), device=place)
        return Resident(self.images, torch.zeros_like(rows), rows)


def check_targets(task: Task, targets: Scenes) -> None:
    """Raise `BadRequest` unless `targets` can be those of the task's images and classes."""
    shape, found = tuple(task.data.shape), tuple(targets.images.shape[1:])
    if shape != found:
        raise BadRequest(f"the targets are of images {found}, the task's images are {shape}")
    if isinstance(task.data, Resident) and len(task.data.images) != len(targets):
        raise BadRequest(
            f"{len(targets)} targets for {len(task.data.images)} images; there is one of each"
        )
    known = targets.masks[targets.masks != IGNORED]
    most = max(
        int(targets.labels.max()) if targets.labels.numel() else NONE,
        int(known.max()) - 1 if known.numel() else NONE,
    )
    if most >= task.classes:
        raise BadRequest(f"a target is of class {most}; the task's are 0 to {task.classes - 1}")


def mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """Turn left and right of each chosen image or mask (n, …, S); `chosen` is bool (n,)."""
    return torch.where(chosen.view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)


def mirrored_boxes(boxes: Tensor, chosen: Tensor, side: int) -> Tensor:
    """Turn left and right of the boxes (n, M, 4) of each chosen image of `side` pixels."""
    left, top, right, bottom = boxes.unbind(-1)
    turned = torch.stack((side - right, top, side - left, bottom), dim=-1)
    return torch.where(chosen[:, None, None], turned, boxes)
