"""An encoder's last grid of features, and what every dense head does with it first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.backbones import MOMENTUM
from lotterybench.methods.base.probes import shown_at_once
from lotterybench.methods.base.shape import Task

STRIDE = 4  # pixels a cell: coarser grids are made as fine as that
HIDDEN = 64  # channels of a head


class Neck(nn.Module):
    """Bring a grid (n, channels, g, g) to `HIDDEN` channels and at least `cells` cells a side."""

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.reduce = _layer(channels, 1)
        self.mix = _layer(HIDDEN, 3)

    def forward(self, grid: Tensor) -> Tensor:
        """Map (n, channels, g, g) to (n, HIDDEN, c, c), c the larger of g and `cells`."""
        found = self.reduce(grid)
        if found.shape[-1] < self.cells:
            found = F.interpolate(found, size=(self.cells, self.cells), mode="bilinear")
        return cast(Tensor, self.mix(found))


def _layer(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, HIDDEN, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(HIDDEN, momentum=MOMENTUM),
        nn.ReLU(inplace=True),
    )


def grid_of(encoder: nn.Module, images: Tensor) -> Tensor:
    """Return an encoder's last grid of features for normalised images: (n, d, g, g)."""
    see = cast(Callable[[Tensor], Tensor], encoder.forward_features)
    found = see(images)
    if found.ndim == 4:
        channels_last = getattr(encoder, "output_fmt", "NCHW") == "NHWC"
        return found.permute(0, 3, 1, 2) if channels_last else found
    side = int(found.shape[1] ** 0.5)
    tokens = found[:, -side * side :]  # one may stand for the class, before the others
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


@torch.no_grad()
def channels_of(encoder: nn.Module, task: Task) -> int:
    """Return the channels of the encoder's last grid for the task's images."""
    with evaluating(encoder):
        return grid_of(encoder, torch.zeros(1, *task.data.shape, device=task.device)).shape[1]


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Let modules be in evaluation mode inside, and as they were afterwards."""
    were = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, training in were:
            part.training = training


@torch.no_grad()
def said_of(encoder: nn.Module, head: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """Yield what a head says of uint8 images (n, C, S, S), in parts, in evaluation mode."""
    for part in torch.split(images, shown_at_once(images.shape[2] * images.shape[3])):
        with evaluating(encoder, head):
            yield head(grid_of(encoder, normalise(part)))
