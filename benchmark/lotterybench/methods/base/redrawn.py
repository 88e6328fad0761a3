"""A training set that is drawn anew for every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from lotterybench.errors import BadRequest
from lotterybench.methods.base.data import Resident, Share


@dataclass(frozen=True)
class Redrawn:
    """A base held on the device as one tensor, of which epoch t trains on the rows `draws(t)`.

    `images` is uint8 (N, C, H, W), `labels` int64 (N,); `draws` returns int64 (n,), on any device,
    the same whenever it is asked, so that a resumed training sees what an undisturbed one does.
    """

    images: Tensor
    labels: Tensor
    draws: Callable[[int], Tensor]

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self.images.device

    @cached_property
    def count(self) -> int:
        """The number of rows of one epoch."""
        return len(self.draws(0))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def of(self, number: int) -> Resident:
        """Return the training set of one epoch, counted from 0.

        Raises `BadRequest` for a draw of another size than the first, since the steps of a
        training are planned from it.
        """
        rows = torch.as_tensor(self.draws(number), device=self.device)
        if len(rows) != self.count:
            raise BadRequest(
                f"epoch {number} draws {len(rows)} images and epoch 0 draws {self.count}; "
                "draw the same number for each"
            )
        return Resident(self.images, self.labels, rows)

    def epoch(
        self, number: int, batch: int, order: Generator, share: Share, skip: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Yield (images, labels, rows, whole batch's size) of one freshly shuffled epoch."""
        return self.of(number).epoch(number, batch, order, share, skip)
