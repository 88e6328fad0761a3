"""CIFAR-10, and its 5,000 images for machines without a GPU; 16 × 16 pixels are area means.

Epochs are a compromise between cost and the control, which trains for a tenth of them: three and
more, but on all images at 16 pixels, where it is one and the board flags it.
"""

from lotterybench.tracks.base import selfsup, track
from lotterybench.tracks.base.supervised import (
    AT_32_PIXELS,
    CHOOSE_AT_32_PIXELS,
    at_16_pixels,
)
from lotterybench.tracks.base.verdicts import previews, selfsup_track, supervised_track

# Every selector but the first two leaves classes uneven, and has a null of its own to pay for.
SUBSETS = previews(
    "cifar10", "uniform-10pct-draw00", "class-balanced-10pct", "el2n-hard-10pct", "k-center-10pct"
)
# Those of the previews whose classes are even enough to share one null.
SUBSETS_5K = previews(
    "cifar10-5k", "uniform-10pct-draw00", "class-balanced-10pct", "d2-10pct",
    "facility-location-10pct", "herding-10pct", "k-center-10pct",
)  # fmt: skip
# The upper rates swept for CIFAR-100 (tracks/cifar100.py), and for 5,000 images the small nets'
# defaults: the steps per epoch are a fifth.
RATES, RATES_5K = (0.4, 0.008), (0.2, 0.004)

for made in (
    supervised_track(
        "cifar10-supervised", "Supervised architectures on CIFAR-10", "cifar10", SUBSETS,
        AT_32_PIXELS, CHOOSE_AT_32_PIXELS, epochs=30,
    ),
    supervised_track(
        "cifar10-supervised-16px", "Supervised architectures on CIFAR-10 at 16×16 pixels",
        "cifar10", SUBSETS, at_16_pixels(*RATES), epochs=8, resolution=16,
    ),
    supervised_track(
        "cifar10-5k-supervised", "Supervised architectures on 5,000 images of CIFAR-10",
        "cifar10-5k", SUBSETS_5K, AT_32_PIXELS, CHOOSE_AT_32_PIXELS, epochs=60, batch=64,
    ),
    supervised_track(
        "cifar10-5k-supervised-16px",
        "Supervised architectures on 5,000 images of CIFAR-10 at 16×16 pixels",
        "cifar10-5k", SUBSETS_5K, at_16_pixels(*RATES_5K), epochs=30, batch=64, resolution=16,
    ),
    selfsup_track(
        "cifar10-5k-selfsup-16px",
        "Self-supervised methods on 5,000 images of CIFAR-10 at 16×16 pixels",
        "cifar10-5k", SUBSETS_5K, selfsup.AT_16_PIXELS[:3], selfsup.AT_16_PIXELS[3:], epochs=30,
        primary="10pct", resolution=16,
    ),
):  # fmt: skip
    track.add(made.name, made)
