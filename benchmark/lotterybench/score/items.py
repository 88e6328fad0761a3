"""The test items of a board's runs on full data: checked against the results, and as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.items import Items, read_items
from lotterybench.paths import items_file
from lotterybench.ranking import Floats
from lotterybench.score.pool import Runs, Scored
from lotterybench.trials import Result, Track


@dataclass(frozen=True)
class Tested:
    """What the scored configurations' runs on full data say of every test image."""

    items: Items
    pool: Scored
    full: Runs

    def per_item(self) -> Floats:
        """Return how often each configuration is right on each test image (n, T), over seeds."""
        return np.stack(
            [
                np.mean([self.items.right(run.key) for run in _ended(self.full[e.name])], axis=0)
                for e in self.pool.entries
            ]
        )

    def accuracies(self, among: Sequence[int]) -> Floats:
        """Return accuracies (n, seeds), in per cent, on the test images of some classes alone.

        Models are trained on all classes and tell these apart; a run without a score is NaN.
        """
        return np.array(
            [
                [
                    100 * self.items.right(run.key, among).mean() if run.status == "ok" else np.nan
                    for run in self.full[e.name]
                ]
                for e in self.pool.entries
            ]
        )

    def size(self, among: Sequence[int]) -> int:
        """Return how many test images some classes have."""
        return int(np.isin(self.items.labels, among).sum())


def tested(items: Items | None, pool: Scored, full: Runs) -> Tested | None:
    """Return the pool's items, None unless every run that ended well has its own."""
    if items is None:
        return None
    runs = [run for e in pool.entries for run in _ended(full[e.name])]
    return Tested(items, pool, full) if all(run.key in items.outranked for run in runs) else None


def checked_items(results: Path, track: Track, full: Sequence[Result]) -> Items | None:
    """Read the items beside results on full data; None if there are none.

    Raises `BadResults` where they cannot be read or are right more or less often than the results.
    """
    items = read_items(results, track)
    for run in _ended(full) if items else ():
        if items is not None and run.key in items.outranked:
            right = 100 * float(items.right(run.key).mean())
            if abs(right - run.metrics[track.metric]) > 1e-6:
                raise BadResults(
                    f"{items_file(results)} has {run.configuration}, seed {run.seed}, right on "
                    f"{right:.2f} % of the test images, its result on "
                    f"{run.metrics[track.metric]:.2f} %"
                )
    return items


def _ended(runs: Sequence[Result]) -> list[Result]:
    return [run for run in runs if run.status == "ok"]
