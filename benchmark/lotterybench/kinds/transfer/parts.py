"""A domain's samples of a split, on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lotterybench.kinds.data import tensors
from lotterybench.kinds.transfer.samples import held_out_samples, training_samples
from lotterybench.records import Split
from lotterybench.studies.transfer import Domain


@dataclass(frozen=True)
class Part:
    """A split on the device: images uint8 (N, C, H, W), labels int64 (N,), a domain's rows (n,).

    Labels are the domain's; other rows have −1.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor

    def first(self, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the domain's first images and labels, or all; by key, which is as at random."""
        rows = self.rows[:count]
        return self.images[rows], self.labels[rows]


def part_of(domain: Domain, split: Split, resolution: int | None, device: str) -> Part:
    """Return a domain's training samples, or all test images of its classes."""
    samples = training_samples(domain) if split == "train" else held_out_samples(domain)
    images, theirs = tensors(domain.base, split, resolution, device)
    rows = torch.from_numpy(samples.positions).to(images.device)
    labels = torch.full_like(theirs, -1)
    labels[rows] = torch.from_numpy(samples.labels).to(labels)
    return Part(images, labels, rows)
