"""PCA whitening of features that are seen once, block by block, and never held at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lotterybench.errors import BadRequest

SAME = 1e-28  # of the squared mean: what rounding in double precision leaves of equal features
ROWS = 4096  # that are in double precision at a time: 16 MB of 512 features


class Moments:
    """The number, mean and scatter of features, in double precision, from one pass over blocks.

    `mean` is (p,), `scatter` (p, p) the sum of the outer products of what each row differs from
    the mean. Both are exact up to rounding whatever the size of the blocks (Chan, Golub and
    LeVeque 1983, equation 2.1): nothing is subtracted that would cancel.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.scatter = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, block: Tensor) -> None:
        """Take in a block of features, float (n, p), on any device.

        Raises `BadRequest` for another width than before, and for NaN or infinite features.
        """
        if block.ndim != 2 or (self.count and block.shape[1] != len(self.mean)):
            wanted = f"(n, {len(self.mean)})" if self.count else "(n, p)"
            raise BadRequest(f"features are {wanted}, this block is {tuple(block.shape)}")
        if not bool(torch.isfinite(block).all()):
            raise BadRequest("features hold NaN or infinity; they cannot be whitened")
        for part in torch.split(block.detach(), ROWS):
            if len(part):
                self._add(part.double())

    def _add(self, part: Tensor) -> None:
        mean = part.mean(0)
        centred = part.sub(mean)
        if not self.count:
            self.mean, self.scatter = torch.zeros_like(mean), mean.new_zeros(len(mean), len(mean))
        total = self.count + len(part)
        apart = mean - self.mean
        self.scatter.addmm_(centred.T, centred)
        self.scatter.addr_(apart, apart, alpha=self.count * len(part) / total)
        self.mean = self.mean + apart * (len(part) / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """The covariance (p, p) over n rows, divided by n: whitened, these rows have variance 1."""
        return self.scatter / self.count


@dataclass(frozen=True)
class Whitening:
    """The map of features to uncorrelated ones of variance 1: (z − `mean`) · `axes` · `scale`.

    `mean` is float64 (p,), `axes` (p, d) the eigenvectors of the covariance by falling variance,
    each with its largest entry positive, `scale` (d,) is 1 / √(variance + ε).
    """

    mean: Tensor
    axes: Tensor
    scale: Tensor

    @classmethod
    def of(cls, moments: Moments, dimension: int, epsilon: float = 1e-8) -> Whitening:
        """Return the whitening onto the min(`dimension`, p) directions of most variance.

        A direction in which the features do not vary, up to rounding (as `matrix_rank` tells it),
        has scale 0: its targets are 0, never noise blown up. Raises `BadRequest` for fewer than two
        rows, and where no feature varies at all.
        """
        if dimension < 1 or not epsilon >= 0:
            raise BadRequest(
                f"whitening takes 1 dimension or more and an ε of 0 or more, not {dimension} and "
                f"{epsilon}"
            )
        if moments.count < 2:
            raise BadRequest(f"whitening needs two rows of features; there are {moments.count}")
        variance, axes = torch.linalg.eigh(moments.covariance)
        variance, axes = variance.flip(0)[:dimension], axes.flip(1)[:, :dimension]
        if not variance[0] > SAME * moments.mean.square().max():
            raise BadRequest("the features are the same for all images: there is nothing to whiten")
        least = variance[0] * len(moments.mean) * torch.finfo(torch.float64).eps
        scale = torch.where(variance > least, (variance.clamp(min=0) + epsilon).rsqrt(), 0.0)
        return cls(moments.mean, (axes * _signs(axes)).contiguous(), scale)

    def __call__(self, features: Tensor) -> Tensor:
        """Map features (n, p) to whitened ones, float32 (n, d), in double precision in between."""
        axes = self.axes * self.scale
        parts = [
            (part.to(axes.device).double() - self.mean) @ axes
            for part in torch.split(features, ROWS)
        ]
        return torch.cat([part.float() for part in parts])


def _signs(axes: Tensor) -> Tensor:
    """Return 1 or −1 for each axis, so that an eigenvector's own sign does not matter."""
    largest = axes.abs().argmax(0, keepdim=True)
    return torch.where(axes.gather(0, largest) < 0, -1.0, 1.0).double()
