"""Digits: small enough for a demonstration, real enough to be wrong about."""

from lotterybench.tracks.base import grid, track
from lotterybench.trials import Seeds, Track

SUBSETS = [
    "digits/uniform-10pct@1",
    "digits/uniform-25pct@1",
    "digits/class-balanced-10pct@1",
    "digits/class-balanced-25pct@1",
    "digits/uniform-5-classes@1",
    "digits/every-2nd-class@1",
]

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
                "resnet": (0.02, 0.1),
                "vit": (0.001, 0.004),
                "convnext": (0.001, 0.004),
                "mixer": (0.001, 0.004),
                "mobilenet": (0.02, 0.1),
                "repvgg": (0.02, 0.1),
            },
            epochs=8,
        ),
        subsets=SUBSETS,
    ),
)
