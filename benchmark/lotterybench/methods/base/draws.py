"""Random numbers of a batch, one set for each image, whoever computes on it."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


class Draws:
    """Draws for the images of one batch of `whole`, of which this process holds `part`.

    Every process draws for the whole batch from an equal generator and keeps its own part, so
    that an image's draws do not depend on how many processes share the batch.
    """

    def __init__(self, generator: Generator, whole: int, part: slice | None = None) -> None:
        self.generator = generator
        self.whole = whole
        self.part = part or slice(whole)

    def uniform(
        self, low: float, high: float, *, views: int = 1, before: int = 1, after: int = 1
    ) -> Tensor:
        """Return floats of [low, high): (before, views · n, after), without sides of 1.

        n is the number of images held here; all first views come before all second ones.
        """
        drawn = torch.rand(
            before, views, self.whole, after, generator=self.generator, device=self.generator.device
        )
        held = (drawn * (high - low) + low)[:, :, self.part]
        return held.reshape(before, -1, after).squeeze(2).squeeze(0)

    def integers(self, below: int, *, before: int = 1) -> Tensor:
        """Return int64 of 0..below-1: (before, n), without a side of 1."""
        drawn = torch.randint(
            below, (before, self.whole), generator=self.generator, device=self.generator.device
        )
        return drawn[:, self.part].squeeze(0)

    def chance(self, probability: float, *, views: int = 1) -> Tensor:
        """Return bool (views · n,), True with the given probability."""
        return self.uniform(0, 1, views=views) < probability
