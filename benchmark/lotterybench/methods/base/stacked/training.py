"""Initialise, train and test a stack of models, one optimiser step for all at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lotterybench.methods.base.stacked.backbones import Backbone, Weight, backbone
from lotterybench.methods.base.stacked.layers import Weights
from lotterybench.methods.base.stacked.objectives import objective

NONE = 0xFFFF  # a bit for each of 16 classes
TESTED = 64  # images of a model at a time: as a training batch, they stay in the cache


MEAN, SPREAD = 0.3, 0.4  # about those of digits' grey levels, from 0 to 1


class Recipe(NamedTuple):
    """One configuration: a backbone, an objective and a peak rate, which falls linearly to 0.

    `width` None is the backbone's own.
    """

    backbone: str
    objective: str
    lr: float
    width: int | None = None


def normalised(images: Tensor) -> Tensor:
    """Map uint8 pixels to floats of about mean 0 and variance 1, by constants."""
    return (images.float() / 255 - MEAN) / SPREAD


def initial(
    network: Backbone, classes: int, seed: int, width: int | None = None, side: int = 8
) -> Weights:
    """Return the weights of one model at the start, drawn from its own 64-bit seed.

    `side` is that of its images, in pixels.
    """
    noise = np.random.default_rng(seed)
    shapes = network.weights(classes, network.width if width is None else width, side)
    return {name: _start(noise, weight) for name, weight in shapes.items()}


def _start(noise: np.random.Generator, weight: Weight) -> Tensor:
    if not weight.inputs:
        return torch.zeros(weight.shape)
    bound = np.float32((3 / weight.inputs) ** 0.5)
    return torch.from_numpy((2 * noise.random(weight.shape, np.float32) - 1) * bound)


def stack(models: Sequence[Weights]) -> Weights:
    """Return the weights of several models of one shape as one, the models' axis first."""
    return {name: torch.stack([model[name] for model in models]) for name in models[0]}


def train(recipe: Recipe, weights: Weights, images: Tensor, labels: Tensor, rows: Tensor) -> None:
    """Train a stack in place.

    `images` is float (N, pixels); `labels` int64 (M, N) are each model's own; `rows` int64
    (steps, M, B) says which images each model sees in each step.
    """
    network, loss = backbone(recipe.backbone), objective(recipe.objective)
    leaves = [weight.requires_grad_() for weight in weights.values()]
    optimiser: torch.optim.Optimizer
    if network.optimiser == "sgd":
        optimiser = torch.optim.SGD(leaves, recipe.lr, momentum=0.9, fused=True)
    else:
        optimiser = torch.optim.Adam(leaves, recipe.lr, fused=True)
    for step, batch in enumerate(rows):
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * (1 - step / len(rows))
        optimiser.zero_grad()
        shown = images[batch.flatten()].view(*batch.shape, -1)
        total = loss(network.logits(weights, shown), labels.gather(1, batch))
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for weight in leaves:
        weight.requires_grad_(False)


@torch.no_grad()
def correct(
    recipe: Recipe, weights: Weights, images: Tensor, labels: Tensor, rows: Tensor
) -> NDArray[np.int64]:
    """Return how many of its test images each model names rightly, (M,).

    `rows` int64 (M, T) are padded with -1. A model that gives any number that is not finite has
    none right.
    """
    network = backbone(recipe.backbone)
    right = torch.zeros(len(rows), dtype=torch.int64)
    sound = torch.ones(len(rows), dtype=torch.bool)
    for part in torch.split(rows, TESTED, dim=1):
        shown = part.clamp(min=0)
        logits = network.logits(weights, images[shown.flatten()].view(*shown.shape, -1))
        hit = logits.argmax(-1) == labels.gather(1, shown)
        right += (hit & (part >= 0)).sum(1)
        sound &= logits.isfinite().flatten(1).all(1)
    return (right * sound).numpy()


@torch.no_grad()
def outranked(
    recipe: Recipe, weights: Weights, images: Tensor, labels: Tensor, rows: Tensor
) -> NDArray[np.uint16]:
    """Return which classes each model ranks above that of a test image, (M, T), a bit per class.

    No bit is set where the image is named rightly, and none of a set of classes where it would be
    if only they had logits; ties are `argmax`'s. `rows` are as for `correct`; where they are
    padded, and for models that give a number that is not finite, all bits are set.
    """
    network = backbone(recipe.backbone)
    found = []
    sound = torch.ones(len(rows), dtype=torch.bool)
    for part in torch.split(rows, TESTED, dim=1):
        shown = part.clamp(min=0)
        logits = network.logits(weights, images[shown.flatten()].view(*shown.shape, -1))
        true = labels.gather(1, shown)[..., None]
        own, classes = logits.gather(2, true), torch.arange(logits.shape[-1])
        above = (logits > own) | ((logits == own) & (classes < true))
        found.append((above << classes).sum(-1).masked_fill(part < 0, NONE))
        sound &= logits.isfinite().flatten(1).all(1)
    bits = torch.cat(found, 1).masked_fill(~sound[:, None], NONE)
    return bits.numpy().astype(np.uint16)
