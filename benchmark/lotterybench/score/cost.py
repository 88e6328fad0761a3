"""What an arm costs, as a part of full data: images seen, weighed by what one costs the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lotterybench.score.pool import Runs, Scored
from lotterybench.trials import Result


def cost_ratio(pool: Scored, here: Runs, whole: Runs) -> float:
    """Return the training cost of an arm's runs over that of full data's, 0 where none counts.

    Images count by the encoder's floating-point operations where all runs have these, so that
    smaller images and narrower nets cost less; otherwise all images count the same. Only
    configurations that ended well on both sides count, so that a failure saves nothing.
    """
    sides = [(_ended(here[e.name]), _ended(whole[e.name])) for e in pool.entries]
    both = [pair for pair in sides if all(pair)]
    weighed = all(run.cost.flops is not None for pair in both for side in pair for run in side)
    costs = [tuple(_mean(side, weighed) for side in pair) for pair in both]
    total = sum(full for _, full in costs)
    return sum(arm for arm, full in costs if full) / total if total else 0.0


def _mean(runs: Sequence[Result], weighed: bool) -> float:
    """Return what a configuration's run costs on average."""
    weights = [run.cost.flops or 0.0 if weighed else 1.0 for run in runs]
    return float(np.mean([run.cost.images_seen * w for run, w in zip(runs, weights, strict=True)]))


def _ended(runs: Sequence[Result]) -> list[Result]:
    return [run for run in runs if run.status == "ok"]
