"""Digits: small enough for a demonstration, real enough to be wrong about."""

from lotterybench.tracks.base import grid, track
from lotterybench.trials import Configuration, Seeds, Track

SUBSETS = [
    "digits/uniform-10pct@1",
    "digits/uniform-25pct@1",
    "digits/class-balanced-10pct@1",
    "digits/class-balanced-25pct@1",
    "digits/uniform-5-classes@1",
    "digits/every-2nd-class@1",
]

# The centre of the sweep on a held-out fifth of the training split (benchmark/derive), and a
# quarter of it.
track.add(
    "digits-supervised",
    Track(
        schema_version=1,
        name="digits-supervised",
        version=1,
        title="Supervised architectures on digits",
        base="digits",
        kind="ranking",
        probe="classifier",
        metric="accuracy",
        seeds=Seeds(full=2, subset=2),
        configurations=grid(
            "supervised",
            "supervised",
            {
                "convnext": (0.00125, 0.005),
                "mixer": (0.00125, 0.005),
                "mobilenet": (0.05, 0.2),
                "repvgg": (0.05, 0.2),
                "resnet": (0.05, 0.2),
                "vit": (0.00125, 0.005),
            },
            epochs=6,
            batch=32,
        ),
        subsets=SUBSETS,
    ),
)

ANCHORS = [
    Configuration(
        name="random-init",
        family="anchor/resnet",
        method="random-init",
        config={"backbone": "resnet"},
    ),
    Configuration(
        name="supervised",
        family="anchor/resnet",
        method="supervised",
        config={"backbone": "resnet", "lr": 0.2, "epochs": 6, "batch": 32},
    ),
]

track.add(
    "digits-selfsup",
    Track(
        schema_version=1,
        name="digits-selfsup",
        version=1,
        title="SimCLR on digits, by k-NN of frozen features",
        base="digits",
        kind="ranking",
        probe="frozen",
        metric="knn",
        seeds=Seeds(full=4, subset=2),
        configurations=[
            *grid(
                "simclr",
                "contrastive",
                {
                    "convmixer": (0.001, 0.004),
                    "convnext": (0.001, 0.004),
                    "mixer": (0.001, 0.004),
                    "mobilenet": (0.025, 0.1),
                    "resnet": (0.025, 0.1),
                    "vit": (0.001, 0.004),
                },
                epochs=6,
                batch=64,
            ),
            *ANCHORS,
        ],
        anchors=[entry.name for entry in ANCHORS],
        subsets=SUBSETS,
    ),
)
