"""A base's images and labels on a device, and which of them a run is about."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lotterybench.kinds.runs import Run
from lotterybench.records import Base, Split
from lotterybench.sources import images

if TYPE_CHECKING:
    import torch


def reduced(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink images (N, H, W, C) to `side` by the mean of each square of pixels, halves up."""
    size, factor = pixels.shape[1], pixels.shape[1] // side
    if factor * side != size or pixels.shape[2] != size:
        raise ValueError(f"{size}×{pixels.shape[2]} images cannot be reduced to {side}×{side}")
    small = np.empty((len(pixels), side, side, pixels.shape[3]), np.uint8)
    for start in range(0, len(pixels), 4096):  # 4,096 images of 32×32×3 are 50 MB as uint32
        part = pixels[start : start + 4096].astype(np.uint32)
        sums = part.reshape(len(part), side, factor, side, factor, -1).sum(axis=(2, 4))
        small[start : start + 4096] = (sums + factor**2 // 2) // factor**2
    return small


@lru_cache(maxsize=4)
def tensors(
    base: str, split: Split, resolution: int | None, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a split on the device: images uint8 (N, C, H, W), labels int64 (N,)."""
    import torch

    found = images(base, split)
    count, *size, channels = found.pixels.shape
    sides = size if resolution is None else (resolution, resolution)
    whole = torch.empty(count, channels, *sides, dtype=torch.uint8, device=device)
    for start in range(0, count, 4096):  # so that no second copy of all images is ever there
        pixels = found.pixels[start : start + 4096]
        small = pixels if resolution is None else reduced(pixels, resolution)
        whole[start : start + 4096] = torch.from_numpy(small.transpose(0, 3, 1, 2).copy())
    return whole, torch.from_numpy(found.labels).to(device)


def classes_of(run: Run, base: Base) -> list[int]:
    """Return the base's labels of the classes in play, in the order of their new labels."""
    if run.subset is None or run.subset.classes is None:
        return list(range(len(base.class_names)))
    return base.class_indices(run.subset.classes)


def restricted(run: Run, base: Base, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Renumber labels to the classes in play; return them and the rows of those classes."""
    import torch

    classes = classes_of(run, base)
    new = torch.full((len(base.class_names),), -1, device=labels.device)
    new[torch.tensor(classes, device=labels.device)] = torch.arange(
        len(classes), device=labels.device
    )
    renumbered = new[labels]
    return renumbered, torch.nonzero(renumbered >= 0).flatten()


def selected(run: Run, base: Base, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return training labels and the rows to train on, in ascending order."""
    import torch

    renumbered, rows = restricted(run, base, labels)
    if run.positions is not None:
        rows = torch.from_numpy(np.sort(run.positions)).to(labels.device)
    return renumbered, rows
