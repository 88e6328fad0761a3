"""ImageNet-1k at 64 × 64 pixels, declared here only: the class lists that others made popular."""

from lotterybench.tracks.base import selfsup, track
from lotterybench.tracks.base.verdicts import previews, selfsup_track

# The lists of ImageNet-A and -R, 200 classes each, would ask for a null of 39 more at twice the
# cost; `run --subset` judges them beside these.
SUBSETS = previews(
    "imagenet-1k", "uniform-100-classes-draw00", "every-kth-class-100-classes",
    "wordnet-balanced-100-classes", "wordnet-far-100-classes", "wordnet-subtree-100-classes",
    "imagenet-100", "mini-imagenet", "imagenette", "imagewoof",
)  # fmt: skip

made = selfsup_track(
    "imagenet1k-selfsup", "Self-supervised methods on ImageNet-1k at 64×64 pixels",
    "imagenet-1k", SUBSETS, selfsup.AT_64_PIXELS, epochs=30, primary="100-classes",
    costs=(0.01, 0.1), resolution=64,
)  # fmt: skip
track.add(made.name, made)
