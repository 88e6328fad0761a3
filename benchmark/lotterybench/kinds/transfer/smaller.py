"""The dense network that is about as small as a ticket: the same backbone, but narrower."""

from __future__ import annotations

import math

import torch

from lotterybench.errors import BadRequest
from lotterybench.kinds.stages.training import weights_of
from lotterybench.methods.base.backbones import build
from lotterybench.studies import Pruning, Recipe

STEPS = 32  # widths that are tried, in equal steps up to the recipe's
NARROWEST = 1 / 8  # that a backbone takes


def narrower(
    recipe: Recipe, shape: tuple[int, int, int], pruning: Pruning, density: float
) -> tuple[float, int]:
    """Return the width whose prunable weights are nearest to `density` of the recipe's, and these.

    Nearest by ratio, narrower than the recipe's own, and the widest of equal ones. Raises
    `BadRequest` for a backbone that has nothing narrower.
    """
    whole = prunable_weights(recipe, recipe.width, shape, pruning)
    widths = [recipe.width * step / STEPS for step in range(1, STEPS)]
    counts = {
        width: prunable_weights(recipe, width, shape, pruning)
        for width in widths
        if width >= NARROWEST
    }
    smaller = {width: count for width, count in counts.items() if count < whole}
    if not smaller:
        raise BadRequest(
            f"{recipe.backbone} of width {recipe.width:g} has no narrower net; widen it, or leave "
            "the control `small` out"
        )
    width = min(smaller, key=lambda w: (abs(math.log(smaller[w] / (density * whole))), -w))
    return width, smaller[width]


def prunable_weights(
    recipe: Recipe, width: float, shape: tuple[int, int, int], pruning: Pruning
) -> int:
    """Count the prunable weights of a recipe's backbone at a width, for images (c, h, w)."""
    with torch.device("meta"):  # nothing is drawn
        net = build(recipe.backbone, in_chans=shape[0], size=shape[2], seed=0, width=width)
    return sum(weight.numel() for weight in weights_of(net, pruning).values())
