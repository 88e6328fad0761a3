"""What runs of an enumeration cost: steps by operations of a forward pass, summed over the pool."""

from __future__ import annotations

from functools import lru_cache
from math import prod

from lotterybench.kinds.exact.plan import steps_of
from lotterybench.kinds.exact.training import recipe_of
from lotterybench.records import Base
from lotterybench.trials import Cheaper, Configuration, Track


def cost_of(track: Track, base: Base, count: int, arm: Cheaper | None = None) -> float:
    """Return the training cost of the pool on subsets of `count` classes, full data being 1.

    Or that of a cheaper arm on all of them. A step costs the operations of one forward pass, which
    a backward pass multiplies by a factor that is nearly the same for all.
    """
    whole = len(base.class_names)
    here, full = (
        sum(_operations(entry, base, *case) for entry in track.configurations)
        for case in ((count, arm), (whole, None))
    )
    return here / full


def _operations(entry: Configuration, base: Base, count: int, arm: Cheaper | None) -> float:
    side = base.size[0]
    if arm is not None and arm.arm == "low-resolution":
        side = int(arm.amount)
    recipe = recipe_of(entry, arm)
    images = sum(split.rows for split in base.splits.values())
    steps = steps_of(entry, images, len(base.class_names), count, arm)
    return steps * forward(recipe.backbone, recipe.width, count, side)


@lru_cache
def forward(backbone: str, width: int | None, classes: int, side: int) -> int:
    """Return the multiplications and additions of one image's forward pass.

    Those of matrix products and convolutions, as torch's FlopCounterMode counts them; that one
    takes seconds to import.
    """
    from lotterybench.methods.base import stacked
    from lotterybench.methods.base.stacked.backbones import PATCH

    network = stacked.backbone(backbone)
    wide = network.width if width is None else width
    tokens = (side // PATCH) ** 2
    times = {"conv1": side**2, "conv2": (side // 2) ** 2, "tokens1": wide, "tokens2": wide}
    times |= dict.fromkeys(("patch", "attend", "project", "channels1", "channels2"), tokens)
    total = 0
    for name, weight in network.weights(classes, wide, side).items():
        layer, _, what = name.partition(".")
        if what == "weight":
            total += prod(weight.shape) * times.get(layer, 1)
    if backbone == "attention":
        total += 2 * tokens**2 * wide
    return 2 * total
