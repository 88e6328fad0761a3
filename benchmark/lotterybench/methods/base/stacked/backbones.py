"""Six small networks for square grey images, each with its classifier, for M models at once."""

from collections.abc import Callable
from math import isqrt
from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from lotterybench.methods.base.stacked.layers import (
    Weights,
    across,
    attention,
    convolution,
    linear,
    norm,
)
from lotterybench.registry import unknown

PATCH = 2  # pixels a side; images have a side that is a multiple of 4


class Weight(NamedTuple):
    """One model's weight: its shape, and the inputs that each of its outputs sums over.

    It starts uniform with variance 1/inputs (LeCun et al. 1998); without inputs it starts at 0.
    """

    shape: tuple[int, ...]
    inputs: int


class Backbone(NamedTuple):
    """A network: its weights by name, the map from images (M, B, pixels) to logits.

    `weights` takes the number of classes, the width and the side of an image; logits are (M, B,
    classes). `optimiser` is what suits it; `together` is the number of models in a stack whose
    step stays in a core's cache of 2 MB.
    """

    weights: Callable[[int, int, int], dict[str, Weight]]
    logits: Callable[[Weights, Tensor], Tensor]
    width: int
    optimiser: Literal["sgd", "adam"]
    together: int


def backbone(name: str) -> Backbone:
    """Return a backbone; raise `UnknownName` for one that does not exist."""
    if name not in BACKBONES:
        raise unknown("stacked backbone", name, sorted(BACKBONES))
    return BACKBONES[name]


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Weight]:
    return {
        f"{name}.weight": Weight((inputs, outputs), inputs),
        f"{name}.bias": Weight((outputs,), 0),
    }


def _across(name: str, inputs: int, outputs: int) -> dict[str, Weight]:
    return {
        f"{name}.weight": Weight((outputs, inputs), inputs),
        f"{name}.bias": Weight((outputs,), 0),
    }


def _filters(name: str, inputs: int, outputs: int) -> dict[str, Weight]:
    return {
        f"{name}.weight": Weight((outputs, inputs, 3, 3), 9 * inputs),
        f"{name}.bias": Weight((outputs,), 0),
    }


def _linear_weights(classes: int, width: int, side: int) -> dict[str, Weight]:
    return _dense("out", side**2, classes)


def _linear(weights: Weights, images: Tensor) -> Tensor:
    return linear(weights, "out", images)


def _mlp_weights(classes: int, width: int, side: int) -> dict[str, Weight]:
    return _dense("hidden", side**2, width) | _dense("out", width, classes)


def _mlp(weights: Weights, images: Tensor) -> Tensor:
    return linear(weights, "out", linear(weights, "hidden", images).relu())


def _deep_weights(classes: int, width: int, side: int) -> dict[str, Weight]:
    return (
        _dense("hidden1", side**2, width)
        | _dense("hidden2", width, width)
        | _dense("hidden3", width, width)
        | _dense("out", width, classes)
    )


def _deep(weights: Weights, images: Tensor) -> Tensor:
    """Three hidden layers, each normalised before its nonlinearity."""
    hidden = images
    for name in ("hidden1", "hidden2", "hidden3"):
        hidden = norm(linear(weights, name, hidden)).relu()
    return linear(weights, "out", hidden)


def _conv_weights(classes: int, width: int, side: int) -> dict[str, Weight]:
    return (
        _filters("conv1", 1, width)
        | _filters("conv2", width, 2 * width)
        | _dense("out", 2 * width * (side // 4) ** 2, classes)
    )


def _conv(weights: Weights, images: Tensor) -> Tensor:
    """Two 3×3 convolutions, each pooled by maxima, to a half and a quarter of the side."""
    models, count, pixels = images.shape
    side = isqrt(pixels)
    maps = images.transpose(0, 1).reshape(count, models, side, side)
    for name in ("conv1", "conv2"):
        maps = F.max_pool2d(convolution(weights, name, maps).relu(), 2)
    return linear(weights, "out", maps.view(count, models, -1).transpose(0, 1))


def _mixer_weights(classes: int, width: int, side: int) -> dict[str, Weight]:
    tokens = (side // PATCH) ** 2
    return (
        _dense("patch", PATCH**2, width)
        | _across("tokens1", tokens, tokens)
        | _across("tokens2", tokens, tokens)
        | _dense("channels1", width, 2 * width)
        | _dense("channels2", 2 * width, width)
        | _dense("out", width, classes)
    )


def _mixer(weights: Weights, images: Tensor) -> Tensor:
    """One mixer block over the patches (Tolstikhin et al. 2021); tokens come before images."""
    tokens = linear(weights, "patch", _patches(images).transpose(1, 2))
    mixed = across(weights, "tokens1", norm(tokens)).relu()
    tokens = tokens + across(weights, "tokens2", mixed)
    mixed = linear(weights, "channels1", norm(tokens)).relu()
    tokens = tokens + linear(weights, "channels2", mixed)
    return linear(weights, "out", norm(tokens).mean(1))


HEADS = 2


def _attention_weights(classes: int, width: int, side: int) -> dict[str, Weight]:
    return (
        _dense("patch", PATCH**2, width)
        | {"place": Weight(((side // PATCH) ** 2, width), PATCH**2)}
        | _dense("attend", width, 3 * width)
        | _dense("project", width, width)
        | _dense("channels1", width, 2 * width)
        | _dense("channels2", 2 * width, width)
        | _dense("out", width, classes)
    )


def _attention(weights: Weights, images: Tensor) -> Tensor:
    """One transformer block over the patches (Dosovitskiy et al. 2021), their mean classified."""
    tokens = linear(weights, "patch", _patches(images)) + weights["place"][:, None]
    seen = attention(linear(weights, "attend", norm(tokens)), HEADS)
    tokens = tokens + linear(weights, "project", seen)
    mixed = linear(weights, "channels1", norm(tokens)).relu()
    tokens = tokens + linear(weights, "channels2", mixed)
    return linear(weights, "out", norm(tokens).mean(2))


def _patches(images: Tensor) -> Tensor:
    """Cut images (M, B, pixels) into patches (M, B, tokens, 4)."""
    models, count, pixels = images.shape
    along = isqrt(pixels) // PATCH
    cut = images.view(models, count, along, PATCH, along, PATCH)
    return cut.transpose(-3, -2).reshape(models, count, along**2, PATCH**2)


BACKBONES = {
    "linear": Backbone(_linear_weights, _linear, 0, "sgd", 64),
    "mlp": Backbone(_mlp_weights, _mlp, 32, "adam", 64),
    "deep-mlp": Backbone(_deep_weights, _deep, 32, "adam", 32),
    "conv": Backbone(_conv_weights, _conv, 12, "adam", 16),
    "mixer": Backbone(_mixer_weights, _mixer, 24, "adam", 8),
    "attention": Backbone(_attention_weights, _attention, 24, "adam", 8),
}
