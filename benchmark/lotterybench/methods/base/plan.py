"""The schedule that a method asks for, and the precision of its objective."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lotterybench.methods.base.backbones import family
from lotterybench.methods.base.shape import Schedule


def plan(
    backbone: str,
    epochs: int,
    lr: float,
    batch: int,
    weight_decay: float | None = None,
    clip: float | None = None,
) -> Schedule:
    """Return a schedule with the backbone's own optimiser and, unless given, its own decay."""
    kind = family(backbone)
    decay = kind.weight_decay if weight_decay is None else weight_decay
    return Schedule(epochs, lr, batch, kind.optimiser, decay, clip)


def in_float32(criterion: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """Return a criterion of tensors, computed in float32 whatever the training's precision.

    bfloat16 has three digits: too few for exponentials of similarities over a temperature, for
    covariances, and for Sinkhorn's sums.
    """
    with torch.autocast(given[0].device.type, enabled=False):
        return criterion(*(tensor.float() for tensor in given))
