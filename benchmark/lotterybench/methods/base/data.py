"""Where batches come from: a base that lies on the device whole, shuffled by index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from lotterybench.methods.base.draws import Draws


@dataclass(frozen=True)
class Batch:
    """A step's images: uint8 (n, C, H, W), labels int64 (n,), and the base's `rows` they are.

    `step` counts from 0 through all `steps` of the training, `epoch` from 0. `draws` gives each
    image its random numbers. Where several processes share a batch, n is this one's part.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    draws: Draws
    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class Share:
    """The part of every batch that this process takes, of `world` processes."""

    rank: int = 0
    world: int = 1

    def of(self, size: int) -> slice:
        """Return this process's rows of a batch: parts differ in size by one at most."""
        return slice(size * self.rank // self.world, size * (self.rank + 1) // self.world)


class Data(Protocol):
    """A training set, however it is held."""

    @property
    def device(self) -> torch.device:
        """The device that batches come on."""
        ...

    @property
    def count(self) -> int:
        """The number of images to train on."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        ...

    def epoch(
        self, number: int, batch: int, order: Generator, share: Share, skip: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Yield (images, labels, rows, whole batch's size) of one epoch, every row once.

        `order` shuffles; the first `skip` batches are left out, as a resumed run wants them.
        """
        ...


@dataclass(frozen=True)
class Resident:
    """A base held on the device as one tensor, and the rows of it to train on.

    `images` is uint8 (N, C, H, W), `labels` int64 (N,); `rows` int64 (n,), so that full data and
    every subset share one tensor.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self.images.device

    @property
    def count(self) -> int:
        """The number of rows to train on."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def epoch(
        self, number: int, batch: int, order: Generator, share: Share, skip: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Yield (images, labels, rows, whole batch's size) of one freshly shuffled epoch."""
        shuffled = self.rows[torch.randperm(self.count, generator=order, device=self.device)]
        for part in torch.split(shuffled, batch_sizes(self.count, batch))[skip:]:
            rows = part[share.of(len(part))]
            yield self.images[rows], self.labels[rows], rows, len(part)


def batch_sizes(count: int, batch: int) -> list[int]:
    """Split `count` rows into batches; a rest below a quarter batch joins the last whole one.

    A batch norm over very few images would be noise.
    """
    whole, rest = divmod(count, batch)
    if whole and 0 < rest < batch / 4:
        return [batch] * (whole - 1) + [batch + rest]
    return [batch] * whole + [rest] * (rest > 0)
