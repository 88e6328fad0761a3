"""Digits in stacks of small networks: the pool of the exact track, on subsets that have names."""

from lotterybench.tracks.base import track
from lotterybench.trials import Cheaper, Seeds, Track

POOL = track["digits-exact"].configurations

# Selectors whose tenth has about even classes: each other one needs 39 random subsets of its own,
# 6,318 runs.
EVEN = ("ccs", "d2", "facility-location", "herding", "k-center")

# Every objective on two backbones, every backbone once, at a quarter of its rate and at its rate.
DEMO = (
    "squared/linear", "cross-entropy/mlp", "one-vs-rest/deep-mlp", "squared/conv",
    "cross-entropy/mixer", "one-vs-rest/attention",
)  # fmt: skip

track.add(
    "digits-stacked",
    Track(
        schema_version=1,
        name="digits-stacked",
        version=1,
        title="Small networks on digits",
        base="digits",
        kind="ranking",
        probe="classifier",
        metric="accuracy",
        seeds=Seeds(full=6, subset=3),
        configurations=POOL,
        subsets=[
            "digits/uniform-25pct@1",
            "digits/class-balanced-25pct@1",
            "digits/uniform-10pct@1",
            "digits/class-balanced-10pct@1",
            *(f"digits/{selector}-10pct@0" for selector in EVEN),
            "digits/uniform-5-classes@1",
            "digits/every-2nd-class@1",
        ],
        cheaper=[
            *(Cheaper(arm="control", amount=amount) for amount in (0.1, 0.25, 0.5)),
            Cheaper(arm="low-resolution", amount=4),
            Cheaper(arm="narrower", amount=0.5),
        ],
        primary="25pct",
        null=39,
    ),
)

track.add(
    "digits-demo",
    Track(
        schema_version=1,
        name="digits-demo",
        version=1,
        title="A few small networks on digits",
        base="digits",
        kind="ranking",
        probe="classifier",
        metric="accuracy",
        seeds=Seeds(full=6, subset=3),
        configurations=[
            entry
            for family in DEMO
            for entry in [entry for entry in POOL if entry.family == family][:2]
        ],
        subsets=["digits/uniform-25pct@1", "digits/class-balanced-25pct@1"],
        cheaper=[Cheaper(arm="control", amount=0.25)],
        primary="25pct",
        null=20,
    ),
)
