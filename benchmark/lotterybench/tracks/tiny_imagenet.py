"""Tiny-ImageNet, declared here only: its tracks run where it is pinned, its class lists rebuilt."""

from lotterybench.tracks.base import selfsup, track
from lotterybench.tracks.base.verdicts import previews, selfsup_track

SUBSETS = previews(
    "tiny-imagenet", "uniform-20-classes-draw00", "every-kth-class-20-classes",
    "wordnet-balanced-20-classes", "wordnet-far-20-classes", "wordnet-subtree-20-classes",
)  # fmt: skip

for made in (
    selfsup_track(
        "tiny-imagenet-selfsup", "Self-supervised methods on Tiny-ImageNet", "tiny-imagenet",
        SUBSETS, selfsup.AT_64_PIXELS, epochs=10, primary="20-classes",
    ),
    selfsup_track(
        "tiny-imagenet-selfsup-16px", "Self-supervised methods on Tiny-ImageNet at 16×16 pixels",
        "tiny-imagenet", SUBSETS, selfsup.AT_16_PIXELS[:3], selfsup.AT_16_PIXELS[3:], epochs=10,
        primary="20-classes", resolution=16,
    ),
):  # fmt: skip
    track.add(made.name, made)
