"""The report of an enumeration: how well all class subsets of each size rank the pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.fidelities import ExactCount, Interval, Procedure
from lotterybench.kinds.exact import Exact, exact_file, read_exact
from lotterybench.manifests import find_base
from lotterybench.paths import track_file
from lotterybench.ranking import Bounds, Floats
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.base.kernels import correlations
from lotterybench.ranking.components import split_half_families, split_half_seeds
from lotterybench.ranking.selecting import certify
from lotterybench.trials import Track

SEED = 20260103
RELIABLE = 0.9  # split-half correlation of the subsets' τ that the protocol asks for (§8)
FAITHFUL = 0.7


def exact_report(folder: Path) -> list[ExactCount]:
    """Return a report per number of classes that is there, the smallest first.

    τ-b is between seed means of accuracy on all ten classes and on the subset's (scope `subset`).
    Raises `BadResults` where full data are missing or a file is of another track.
    """
    file = track_file(folder)
    if not file.is_file():
        raise BadResults(f"{folder} holds no track.json; run the track with --out first")
    track = Track.read(file.read_bytes(), str(file))
    names = find_base(track.base)[0].class_names
    whole = exact_file(folder, len(names))
    if not whole.is_file():
        raise BadResults(f"{whole} is missing: the results on all classes")
    full = _read(whole, track)
    counts = [n for n in range(2, len(names)) if exact_file(folder, n).is_file()]
    return [_count(full, _read(exact_file(folder, n), track), n, names) for n in counts]


def _read(file: Path, track: Track) -> Exact:
    found = read_exact(file)
    if found.about.get("track_digest") != track.digest():
        raise BadResults(f"{file} is of another {track.name} than {track_file(file.parent)}")
    return found


def _accuracies(found: Exact) -> Floats:
    """Return accuracies (S, configurations, seeds) in per cent."""
    share: Floats = 100 * found.correct.astype(np.float64) / found.totals
    return share


def _count(full: Exact, found: Exact, classes: int, names: list[str]) -> ExactCount:
    if found.configurations != full.configurations:
        raise BadResults(f"subsets of {classes} classes have another pool than full data")
    rng = np.random.default_rng(SEED)
    x, ys = _accuracies(full)[0], _accuracies(found)
    groups = np.unique(found.families, return_inverse=True)[1]
    means = seed_means(ys)
    tau = correlations(seed_means(x), means).tau
    seeds = split_half_seeds(x, ys, rng)
    families = split_half_families(seed_means(x), means, groups, rng)
    best = int(np.nanargmax(tau))
    low, median, high = (float(value) for value in np.nanpercentile(tau, [5, 50, 95]))
    return ExactCount(
        classes=classes,
        subsets=len(tau),
        configurations=len(found.configurations),
        families=len(set(found.families)),
        seeds_full=x.shape[1],
        seeds=ys.shape[2],
        lowest=float(np.nanmin(tau)),
        low=low,
        median=median,
        mean=float(np.nanmean(tau)),
        high=high,
        highest=float(tau[best]),
        best=[name for bit, name in enumerate(names) if found.subsets[best] >> bit & 1],
        above=float(np.mean(tau >= FAITHFUL)),
        reliability=seeds.correlation if seeds else None,
        across_families=families.correlation if families else None,
        reliable=bool(seeds and seeds.correlation >= RELIABLE),
        procedure=_procedure(seed_means(x), means, groups, rng),
    )


def _procedure(
    x: Floats, means: Floats, groups: np.ndarray, rng: np.random.Generator
) -> Procedure | None:
    """Certify "take the subset with the largest τ" on families that it has not seen (§6)."""
    found = certify(x, means, groups, rng)
    if found is None:
        return None
    return Procedure(
        tau=found.tau,
        interval=_interval(found.bounds),
        population=found.population,
        gain=found.gain,
        gain_interval=_interval(found.gain_bounds),
    )


def _interval(bounds: Bounds | None) -> Interval | None:
    return bounds and Interval(low=bounds.low, high=bounds.high, resampled="families")
