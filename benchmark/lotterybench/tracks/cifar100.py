"""CIFAR-100, shrunk to 16×16 by area means for machines without a GPU."""

from lotterybench.tracks.base import grid, track
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
