"""What runs of an enumeration cost: steps by operations of a forward pass, summed over the pool."""

from __future__ import annotations

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
    from lotterybench.methods.base.flops import stacked_flops

    side = base.size[0]
    if arm is not None and arm.arm == "low-resolution":
        side = int(arm.amount)
    recipe = recipe_of(entry, arm)
    images = sum(split.rows for split in base.splits.values())
    steps = steps_of(entry, images, len(base.class_names), count, arm)
    return steps * stacked_flops(recipe.backbone, recipe.width, count, side)
