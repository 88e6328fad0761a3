"""What a method is given and returns; imports torch only for type checkers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lotterybench.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Task:
    """One training: images on the device, the rows to use, and the run's noise.

    `images` is uint8 (N, C, H, W), `labels` int64 (N,) in 0..classes-1; `rows` int64 (n,) are
    the rows to train on, so that full data and every subset share one tensor. `mirror` says
    whether a mirrored image keeps its class (a digit does not). `run` identifies the run; every
    stream of random numbers is derived from it, so no two runs share noise.
    """

    images: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor
    classes: int
    mirror: bool
    run: str

    @property
    def device(self) -> torch.device:
        """The device of the images, on which the training runs."""
        return self.images.device

    def stream(self, name: str) -> int:
        """Return the seed of one stream of random numbers: `init`, `order`, `augment`, `head`."""
        return stream(self.run, name)

    def generator(self, name: str) -> torch.Generator:
        """Return a fresh generator on the task's device for one stream."""
        import torch

        return torch.Generator(self.device).manual_seed(self.stream(name))


@dataclass(frozen=True)
class Trained:
    """What a method returns: modules in evaluation mode, and the cost.

    `encoder` maps normalised float images (n, C, H, W) to features (n, d); `classifier` maps
    features to logits (n, classes), or is None for a method that reads no labels.
    `images_seen` counts training images that went through the network, each view as one.
    """

    encoder: nn.Module
    classifier: nn.Module | None
    images_seen: int


def stream(run: str, name: str) -> int:
    """Return the seed of one stream of a run's random numbers: uint32(sha256(run | name))."""
    return int.from_bytes(hashlib.sha256(f"{run}|{name}".encode()).digest()[:4], "big")


# A method is called as method(task, *, epochs=…, lr=…, **settings).
Method = Callable[..., Trained]

method: Registry[Method] = Registry("method")
