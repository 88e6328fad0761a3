"""Many small models trained as one: every weight has a leading axis, one entry per model."""

from lotterybench.methods.base.stacked.backbones import BACKBONES, Backbone, Weight, backbone
from lotterybench.methods.base.stacked.objectives import OBJECTIVES, objective
from lotterybench.methods.base.stacked.training import (
    Recipe,
    correct,
    initial,
    normalised,
    outranked,
    stack,
    train,
)

__all__ = [
    "BACKBONES", "OBJECTIVES", "Backbone", "Recipe", "Weight", "backbone", "correct", "initial",
    "normalised", "objective", "outranked", "stack", "train",
]  # fmt: skip
