"""CIFAR-100, and shrunk to 16×16 by area means for machines without a GPU."""

from lotterybench.tracks.base import grid, selfsup, track
from lotterybench.tracks.base.supervised import AT_32_PIXELS, CHOOSE_AT_32_PIXELS, at_16_pixels
from lotterybench.tracks.base.verdicts import previews, selfsup_track, supervised_track
from lotterybench.trials import Seeds, Track

# In the sweep on a held-out fifth of 12,500 training images (benchmark/derive), 0.2 and 0.8 were
# the better rates of every net trained by SGD, 0.004 and 0.016 of most trained by AdamW. With all
# images there are five times the steps, so the upper rate lies between these; the lower is a
# quarter of it.
SGD = (0.1, 0.4)
ADAMW = (0.002, 0.008)

track.add(
    "cifar100-supervised-16px",
    Track(
        schema_version=1,
        name="cifar100-supervised-16px",
        version=1,
        title="Supervised architectures on CIFAR-100 at 16×16 pixels",
        base="cifar100",
        kind="ranking",
        resolution=16,
        probe="classifier",
        metric="accuracy",
        seeds=Seeds(full=2, subset=2),
        configurations=grid(
            "supervised",
            "supervised",
            {
                "convmixer": ADAMW,
                "convnext": ADAMW,
                "mixer": ADAMW,
                "mobilenet": SGD,
                "repvgg": SGD,
                "resnet": SGD,
                "resnext": SGD,
                "vit": ADAMW,
            },
            epochs=8,
            batch=128,
        ),
        subsets=[
            "cifar100/uniform-10-classes@1",
            "cifar100/every-10th-class@1",
            "cifar100/uniform-20-classes@1",
            "cifar100/every-5th-class@1",
            "cifar100/uniform-10pct@1",
            "cifar100/class-balanced-10pct@1",
        ],
    ),
)

# Every selector but the first two leaves classes uneven, and has a null of its own to pay for.
SAMPLES = previews(
    "cifar100", "uniform-10pct-draw00", "class-balanced-10pct", "el2n-hard-10pct", "k-center-10pct"
)
CLASSES = previews(
    "cifar100", "uniform-10-classes-draw00", "every-kth-class-10-classes",
    "wordnet-balanced-10-classes", "wordnet-far-10-classes", "wordnet-subtree-10-classes",
    "accuracy-easiest-10-classes", "accuracy-hardest-10-classes", "accuracy-quantiles-10-classes",
)  # fmt: skip

for made in (
    supervised_track(
        "cifar100-supervised", "Supervised architectures on CIFAR-100", "cifar100", SAMPLES,
        AT_32_PIXELS, CHOOSE_AT_32_PIXELS, epochs=30,
    ),
    # A second version of the first pool, under a name of its own: a folder of results holds one
    # version of a track, and those of the first stay what they are.
    supervised_track(
        "cifar100-supervised-16px-v2", "Supervised architectures on CIFAR-100 at 16×16 pixels",
        "cifar100", SAMPLES, at_16_pixels(SGD[1], ADAMW[1]), epochs=8, resolution=16, version=2,
    ),
    selfsup_track(
        "cifar100-selfsup", "Self-supervised methods on CIFAR-100", "cifar100",
        CLASSES, selfsup.AT_32_PIXELS[:3], selfsup.AT_32_PIXELS[3:], epochs=30,
        primary="10-classes",
    ),
    selfsup_track(
        "cifar100-selfsup-16px", "Self-supervised methods on CIFAR-100 at 16×16 pixels",
        "cifar100", CLASSES, selfsup.AT_16_PIXELS[:3], selfsup.AT_16_PIXELS[3:],
        epochs=10, primary="10-classes", resolution=16,
    ),
):  # fmt: skip
    track.add(made.name, made)
