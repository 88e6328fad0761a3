"""Carrying out a chunk: its models are trained in stacks and tested on their own folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.kinds.data import reduced
from lotterybench.kinds.exact.noise import folds, identity, order, stream
from lotterybench.kinds.exact.plan import FOLDS, Chunk, classes_in, steps_of, subsets_of
from lotterybench.manifests import find_base, load_keyring
from lotterybench.records import SPLITS, Base
from lotterybench.sources import images
from lotterybench.trials import Cheaper, Configuration, Track

if TYPE_CHECKING:
    from lotterybench.methods.base.stacked import Recipe
    from lotterybench.methods.base.stacked.layers import Weights

Counts = NDArray[np.uint16]


@dataclass(frozen=True)
class Pool:
    """A track with all images of its base: uint8 (N, pixels), and labels int64 (N,)."""

    track: Track
    base: Base
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Model(NamedTuple):
    """One of a stack: a subset, and which fold of which repeat it is tested on."""

    subset: int
    repeat: int
    fold: int


class Outcome(NamedTuple):
    """What a chunk gave: how many test images were named rightly, and how many there were.

    Both are (subsets, seeds), subsets in the order of `subsets_of`, seeds those of the repeats.
    `outranked` (repeats, N) is there for full data only: for each image, as the model that was
    tested on it, the classes that it ranks above the true one, a bit each.
    """

    correct: Counts
    totals: Counts
    outranked: Counts | None = None


class Prepared(NamedTuple):
    """What a stack is trained and tested on: see `stacked.train` and `stacked.correct`."""

    seeds: list[int]
    labels: NDArray[np.int64]
    shown: NDArray[np.int64]
    tested: NDArray[np.int64]


def load_pool(track: Track) -> Pool:
    """Return the track with the samples of both splits of its base, in the canonical order."""
    base, keyring = find_base(track.base)[0], load_keyring(track.base)
    both = [images(base.id, split) for split in SPLITS]
    keys = np.concatenate([keyring.keys[split] for split in SPLITS])
    labels = np.concatenate([split.labels for split in both])
    canonical = np.lexsort((labels, keys))
    pixels = np.concatenate([split.pixels for split in both])[canonical]
    return Pool(track, base, pixels.reshape(len(pixels), -1), labels[canonical])


def trained(chunk: Chunk, pool: Pool) -> Outcome:
    """Train and test all models of a chunk."""
    from lotterybench.methods.base import stacked

    recipe, pixels = recipe_of(chunk.configuration, chunk.arm), pixels_of(pool, chunk.arm)
    right: list[int] = []
    tested: list[int] = []
    ranks: list[NDArray[np.uint16]] = []
    together = stacked.backbone(recipe.backbone).together
    every = models_of(chunk, pool.base)
    full = chunk.size == len(pool.base.class_names) and chunk.arm is None
    while models := tuple(islice(every, together)):
        given = prepare(chunk, models, pool)
        weights = fit(recipe, chunk.size, given, pixels)
        if full:
            above = examined(stacked.outranked, recipe, weights, given, pixels)
            right += (above == 0).sum(1).tolist()
            ranks += [by_image(*one, len(pixels)) for one in zip(above, given.tested, strict=True)]
        else:
            right += examined(stacked.correct, recipe, weights, given, pixels).tolist()
        tested += (given.tested >= 0).sum(1).tolist()
    shape = (-1, FOLDS * len(chunk.repeats))
    counts = np.array(right, np.uint16).reshape(shape), np.array(tested, np.uint16).reshape(shape)
    if not full:
        return Outcome(*counts)
    return Outcome(*counts, np.stack(ranks).reshape(-1, FOLDS, len(pixels)).max(1))


def by_image(
    above: NDArray[np.uint16], tested: NDArray[np.int64], images: int
) -> NDArray[np.uint16]:
    """Return what one model found for its test images at the images' places, (N,), else 0."""
    found = np.zeros(images, np.uint16)
    found[tested[tested >= 0]] = above[tested >= 0]
    return found


def recipe_of(entry: Configuration, arm: Cheaper | None = None) -> Recipe:
    """Return what the stacked engine is told of a configuration."""
    from lotterybench.methods.base.stacked import Recipe, backbone

    config, width = entry.config, None
    if arm is not None and arm.arm == "narrower":
        width = round(backbone(str(config["backbone"])).width * arm.amount)
    return Recipe(str(config["backbone"]), str(config["objective"]), float(config["lr"]), width)


def pixels_of(pool: Pool, arm: Cheaper | None) -> NDArray[np.uint8]:
    """Return the images (N, pixels) that an arm's networks see."""
    if arm is None or arm.arm != "low-resolution":
        return pool.pixels
    sides = pool.base.size
    small = reduced(pool.pixels.reshape(-1, *sides, 1), int(arm.amount))
    return small.reshape(len(small), -1)


def models_of(chunk: Chunk, base: Base) -> Iterator[Model]:
    """Yield the models of a chunk: by subset, then repeat, then fold."""
    for subset in subsets_of(len(base.class_names), chunk.size):
        for repeat in chunk.repeats:
            for fold in range(FOLDS):
                yield Model(subset, repeat, fold)


def prepare(chunk: Chunk, models: tuple[Model, ...], pool: Pool) -> Prepared:
    """Draw what the models of a stack start from, see, and are tested on."""
    entry, classes = chunk.configuration, len(pool.base.class_names)
    steps = steps_of(entry, len(pool.labels), classes, chunk.size, chunk.arm)
    seeds, labels, shown, tested = [], [], [], []
    for subset, repeat, fold in models:
        run = identity(pool.track, pool.base, subset, entry, chunk.arm)
        dealt = folds(pool.labels, subset, stream(run, repeat, "folds"))
        rows = np.flatnonzero((dealt >= 0) & (dealt != fold))
        seed = FOLDS * repeat + fold
        seeds.append(stream(run, seed, "init"))
        labels.append(renumbered(pool.labels, subset))
        shown.append(order(rows, steps, int(entry.config["batch"]), stream(run, seed, "order")))
        tested.append(np.flatnonzero(dealt == fold))
    return Prepared(seeds, np.stack(labels), np.stack(shown, 1), padded(tested))


def renumbered(labels: NDArray[np.int64], subset: int) -> NDArray[np.int64]:
    """Return labels counted among a subset's classes; images of other classes get 0."""
    new = np.zeros(subset.bit_length(), np.int64)
    new[classes_in(subset)] = np.arange(subset.bit_count())
    return new[np.minimum(labels, len(new) - 1)]


def padded(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return lists of rows as one array, (M, longest), -1 where a list has ended."""
    found = np.full((len(rows), max(map(len, rows))), -1, np.int64)
    for place, part in zip(found, rows, strict=True):
        place[: len(part)] = part
    return found


def fit(recipe: Recipe, classes: int, given: Prepared, pixels: NDArray[np.uint8]) -> Weights:
    """Train a stack and return its weights."""
    import torch

    from lotterybench.methods.base import stacked

    network, side = stacked.backbone(recipe.backbone), isqrt(pixels.shape[1])
    weights = stacked.stack(
        [stacked.initial(network, classes, seed, recipe.width, side) for seed in given.seeds]
    )
    images = stacked.normalised(torch.from_numpy(pixels))
    labels, shown = map(torch.from_numpy, (given.labels, given.shown))
    stacked.train(recipe, weights, images, labels, shown)
    return weights


def examined(
    test: Callable[..., NDArray[Any]], recipe: Recipe, weights: Weights, given: Prepared,
    pixels: NDArray[np.uint8],
) -> NDArray[Any]:  # fmt: skip
    """Return what `test`, of the stacked engine, says of a stack on its own test images."""
    import torch

    from lotterybench.methods.base import stacked

    images = stacked.normalised(torch.from_numpy(pixels))
    labels, tested = map(torch.from_numpy, (given.labels, given.tested))
    return test(recipe, weights, images, labels, tested)
