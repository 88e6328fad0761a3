"""Digits, exactly: all 1,012 class subsets, with networks small enough to train on each."""

from lotterybench.tracks.base import track
from lotterybench.trials import Cheaper, Configuration, Seeds, Track

# The smallest rate within a standard error of the best on a held-out fifth of the training folds
# of full data, of a sweep in factors of two (benchmark/derive/exact_rates.py).
CENTRES = {
    "linear": {"cross-entropy": 0.16, "one-vs-rest": 0.16, "squared": 0.02},
    "mlp": {"cross-entropy": 0.032, "one-vs-rest": 0.032, "squared": 0.008},
    "deep-mlp": {"cross-entropy": 0.008, "one-vs-rest": 0.016, "squared": 0.008},
    "conv": {"cross-entropy": 0.008, "one-vs-rest": 0.016, "squared": 0.004},
    "mixer": {"cross-entropy": 0.016, "one-vs-rest": 0.064, "squared": 0.016},
    "attention": {"cross-entropy": 0.016, "one-vs-rest": 0.016, "squared": 0.008},
}
FACTORS = (0.25, 1.0, 2.0)
# So short that full-data accuracies reach from under 50 to 97 %, on about the same images: trained
# to the end, all would be at 95 to 98 %, which ranks nothing.
EPOCHS, BATCH = 5, 32
# What subsets of 2 to 9 classes are compared with at equal cost, and other ways to save.
CHEAPER = [
    *(Cheaper(arm="control", amount=classes / 10) for classes in range(2, 10)),
    Cheaper(arm="low-resolution", amount=4),
    Cheaper(arm="narrower", amount=0.5),
    Cheaper(arm="narrower", amount=0.25),
]


def _pool() -> list[Configuration]:
    return [
        Configuration(
            name=f"{backbone}-{objective}-lr{centre * factor:g}",
            family=f"{objective}/{backbone}",
            method="stacked",
            config={
                "backbone": backbone, "objective": objective, "lr": centre * factor,
                "epochs": EPOCHS, "batch": BATCH,
            },
            axis="lr",
        )
        for backbone, centres in CENTRES.items()
        for objective, centre in centres.items()
        for factor in FACTORS
    ]  # fmt: skip


track.add(
    "digits-exact",
    Track(
        schema_version=1,
        name="digits-exact",
        version=1,
        title="Every class subset of digits, supervised",
        base="digits",
        kind="exact",
        probe="classifier",
        metric="accuracy",
        seeds=Seeds(full=36, subset=3),
        configurations=_pool(),
        cheaper=CHEAPER,
    ),
)
