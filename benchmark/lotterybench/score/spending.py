"""What a subset costs with its selection, and from how many runs on it saves (protocol §5)."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np

from lotterybench.manifests import find_base
from lotterybench.records import Subset
from lotterybench.score.cost import cost_ratio
from lotterybench.score.pool import Runs, Scored
from lotterybench.trials import Track


def costs(track: Track, subset: Subset, pool: Scored, here: Runs, whole: Runs) -> dict[str, Any]:
    """Return a fidelity's fields on cost, `cost_ratio` to `break_even`.

    The proxies' training images are spread over the runs that the pool makes on the subset. A
    proxy's image counts as one of a run on full data, since manifests tell no more of it.
    """
    ratio, rows = cost_ratio(pool, here, whole), find_base(track.base)[0].splits["train"].rows
    selection, each = selection_cost(subset, rows), images_of_a_run(pool, here, whole)
    found: dict[str, Any] = {"cost_ratio": ratio, "selection_cost": selection}
    if selection is None or not each:
        return found
    there, full = each
    runs = len(pool.entries) * track.seeds.subset
    return found | {
        "total_ratio": ratio + selection / (runs * full),
        "break_even": break_even(selection, there, full),
    }


def selection_cost(subset: Subset, rows: int) -> int | None:
    """Return the training images that the proxies of a selection saw, of a base with `rows`.

    A recorded set trains each seed's proxy on all samples and, if it reads labels, once without
    each of its folds: 1 + (folds − 1) passes an epoch. A choose pool's are in the manifest. 0 for a
    selector that reads no recording, None for results of methods whose cost it does not tell.
    """
    shown = subset.selected_with
    if shown.methods:
        return shown.images or None
    if shown.proxy is None:
        return 0
    passes = max(1, shown.proxy_folds) if shown.proxy.labels else 1
    return shown.proxy.epochs * rows * len(shown.proxy_seeds) * passes


def break_even(selection: float, there: float, full: float) -> int | None:
    """Return the fewest runs m with selection + m · there < m · full; None if there is none."""
    if there >= full:
        return None
    return floor(selection / (full - there)) + 1


def images_of_a_run(pool: Scored, here: Runs, whole: Runs) -> tuple[float, float] | None:
    """Return training images of the mean run on the subset and on full data.

    Only configurations that ended well on both sides count; None if there is none.
    """
    pairs = []
    for entry in pool.entries:
        sides = [
            [run.cost.images_seen for run in side[entry.name] if run.status == "ok"]
            for side in (here, whole)
        ]
        if all(sides):
            pairs.append([float(np.mean(side)) for side in sides])
    there, full = np.mean(pairs, axis=0) if pairs else (0.0, 0.0)
    return (float(there), float(full)) if full else None
