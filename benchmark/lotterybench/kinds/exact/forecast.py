"""What an enumeration would take here: one stack of each backbone is trained and timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from lotterybench.kinds.exact.enumeration import Left
from lotterybench.kinds.exact.plan import Chunk, steps_of
from lotterybench.kinds.exact.training import (
    Pool,
    examined,
    fit,
    models_of,
    prepare,
    recipe_of,
)
from lotterybench.progress import bar
from lotterybench.trials import Configuration

TIMED = 2  # classes of the subsets that are timed: the shortest trainings


class Price(NamedTuple):
    """What is left of one part: models, training images, and seconds of one core."""

    models: int
    images: int
    seconds: float


def prices(parts: Sequence[Left], pool: Pool) -> list[Price]:
    """Return what each part of a plan costs; nothing is written."""
    classes, images = len(pool.base.class_names), len(pool.labels)
    entries = {
        chunk.configuration.config["backbone"]: chunk.configuration
        for part in parts
        for chunk in part.chunks
    }
    timing = bar(entries.items(), len(entries), "timing a stack of each backbone")
    pace = {name: seconds_of_a_step(entry, pool) for name, entry in timing}
    found = []
    for part in parts:
        seen, seconds = 0, 0.0
        for chunk in part.chunks:
            entry = chunk.configuration
            each = steps_of(entry, images, classes, part.size, part.arm)
            steps = chunk.models(classes) * each
            seen += steps * int(entry.config["batch"])
            seconds += steps * pace[entry.config["backbone"]]
        found.append(Price(part.models(pool.base), seen, seconds))
    return found


def seconds_of_a_step(entry: Configuration, pool: Pool) -> float:
    """Return the seconds of one core for one step of one model, its part of testing included."""
    import torch

    from lotterybench.methods.base.stacked import backbone, correct

    recipe, chunk = recipe_of(entry), Chunk(TIMED, entry, (0,))
    models = tuple(islice(models_of(chunk, pool.base), backbone(recipe.backbone).together))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        given = prepare(chunk, models, pool)
        fit(recipe, TIMED, given._replace(shown=given.shown[:1]), pool.pixels)  # warms up
        start = time.perf_counter()
        weights = fit(recipe, TIMED, prepare(chunk, models, pool), pool.pixels)
        examined(correct, recipe, weights, given, pool.pixels)
        seconds = time.perf_counter() - start
    finally:
        torch.set_num_threads(threads)
    return seconds / (len(models) * len(given.shown))
