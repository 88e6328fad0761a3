"""Tracks that are large enough for a verdict: what they have in common (protocol §1, §2, §5)."""

from collections.abc import Sequence

from lotterybench.tracks.base import selfsup, supervised
from lotterybench.tracks.base.selfsup import Body
from lotterybench.tracks.base.supervised import Net
from lotterybench.trials import Cheaper, Configuration, Seeds, Track

SEEDS = Seeds(full=6, subset=3)
NULL = 39  # random subsets of each kind and size


def previews(base: str, *names: str) -> list[str]:
    """Return references to the canonical manifests of a base, as they were first published."""
    return [f"{base}/{name}@0" for name in names]


def supervised_track(
    name: str, title: str, base: str, subsets: list[str], nets: list[Net],
    choose: Sequence[Net] = (), *, epochs: int, batch: int = 128, resolution: int | None = None,
    version: int = 1,
) -> Track:  # fmt: skip
    """Return a track of classifiers, tested on the subset's classes; its budget is a tenth."""
    pool = supervised.pool([*nets], epochs=epochs, batch=batch)
    apart = supervised.pool([*choose], epochs=epochs, batch=batch)
    return Track(
        schema_version=1,
        name=name,
        version=version,
        title=title,
        base=base,
        kind="ranking",
        resolution=resolution,
        probe="classifier",
        metric="accuracy",
        seeds=SEEDS,
        configurations=[*pool, *apart],
        choose=_names(apart),
        subsets=subsets,
        cheaper=controls(0.1),
        primary="10pct",
        null=NULL,
    )


def selfsup_track(
    name: str, title: str, base: str, subsets: list[str], bodies: list[Body],
    choose: Sequence[Body] = (), *, epochs: int, primary: str, costs: Sequence[float] = (0.1,),
    resolution: int | None = None,
) -> Track:  # fmt: skip
    """Return a track of encoders that saw no label, judged by k-NN on all of the base."""
    pool = selfsup.pool([*bodies], selfsup.RECIPES, epochs=epochs)
    apart = selfsup.pool([*choose], selfsup.CHOOSE, epochs=epochs)
    shown = selfsup.anchors(bodies[0], epochs=epochs)
    return Track(
        schema_version=1,
        name=name,
        version=1,
        title=title,
        base=base,
        kind="ranking",
        resolution=resolution,
        probe="frozen",
        metric="knn",
        seeds=SEEDS,
        configurations=[*pool, *apart, *shown],
        anchors=_names(shown),
        choose=_names(apart),
        subsets=subsets,
        cheaper=controls(*costs),
        primary=primary,
        null=NULL,
    )


def controls(*costs: float) -> list[Cheaper]:
    """Return the equal-cost controls of budgets that cost these parts of full data."""
    return [Cheaper(arm="control", amount=cost) for cost in costs]


def _names(entries: list[Configuration]) -> list[str]:
    return [entry.name for entry in entries]
