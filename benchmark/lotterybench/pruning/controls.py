"""What a mask is compared with: the same density in the same tensors, but for what it chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor, nn

from lotterybench.pruning.criteria import random
from lotterybench.pruning.keeping import keep_in_each
from lotterybench.pruning.masks import Masks


def permuted(masks: Masks, generator: Generator) -> Masks:
    """Shuffle each tensor's mask within the tensor; `generator` is on the CPU.

    Every tensor keeps as many weights as before.
    """
    return Masks({name: _shuffled(mask, generator) for name, mask in masks.kept.items()})


def _shuffled(mask: Tensor, generator: Generator) -> Tensor:
    return mask.reshape(-1)[torch.randperm(mask.numel(), generator=generator)].reshape(mask.shape)


def random_masks(
    weights: Mapping[str, Tensor], densities: float | Mapping[str, float], generator: Generator
) -> Masks:
    """Draw masks at given densities of the tensors (protocol §10: random controls per layer).

    They know nothing of another mask: put on the weights at a rewinding point, they leave weights
    there that a ticket has pruned.
    """
    return keep_in_each(random(weights, generator), densities)


def reinitialised(
    build: Callable[[int], nn.Module], masks: Masks, generator: Generator
) -> nn.Module:
    """Return a network with new weights, drawn as `build` draws them, under the same masks.

    `build` maps a seed to a network whose parameters have the masks' names; the seed comes from
    `generator`.
    """
    network = build(int(torch.randint(2**31, (), generator=generator)))
    masks.apply(dict(network.named_parameters()))
    return network
