"""Two subsets of a track side by side; or how likely orders of a user's own methods hold.

For the latter a track's own results say how often a difference of a given size on the subset had
the same sign on full data. That share is made monotone in the size of the difference (isotonic
regression), and families are resampled for its lower bound. Ours; the protocol has no section on
it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lotterybench.errors import BadRequest, BadResults
from lotterybench.estimates import Interval
from lotterybench.fidelities import Board
from lotterybench.manifests import find_base, load_keyring
from lotterybench.ranking import Floats, family_interval, kendall_tau, paired_difference
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.resampling import family_draws
from lotterybench.records import Record, Slug, Subset, parse_ref
from lotterybench.results import scope
from lotterybench.score import board
from lotterybench.score.arms import Found, all_found, checked, missing
from lotterybench.score.board import track_of
from lotterybench.score.fidelity import BOOTSTRAP_SEED
from lotterybench.score.frontier import interval
from lotterybench.score.pool import by_configuration
from lotterybench.score.ranked import shared_pool, subset_scores
from lotterybench.standings import Difference
from lotterybench.tracks import track as tracks
from lotterybench.trials import Track

DRAWS = 400
SEED = 20260104
FEWEST = 6  # families, below which there is no bound


class Order(NamedTuple):
    """Two methods, their difference on the subset in points, and the chance that it holds.

    `holds` is the share of the track's pairs of configurations with such a difference whose order
    was the same on full data, `low` its one-sided 5 % bound (None below six families). `pairs` is
    how many pairs of the track have a difference at least as large.
    """

    better: str
    worse: str
    points: float
    holds: float
    low: float | None
    pairs: int


class Side(Record):
    """One of two subsets that are compared: its τ-b with full data, on what both are scored."""

    subset: str
    tau: float | None = None
    interval: Interval | None = None


class SideBySide(Record):
    """Two subsets of one track on the configurations that both are scored on (protocol §9)."""

    track: Slug
    sides: tuple[Side, Side]
    configurations: int
    families: int
    difference: Difference | None = None


def side_by_side(one: str, other: str, results: Path) -> SideBySide:
    """Compare the τ of two subsets of a track, paired on the same resamples of families.

    Each is `base/name` or `base/name@version`, a random one of the null included; `results` is
    the track's folder. Raises `BadResults` where one has no complete results there, `BadRequest`
    where they are tested on other images (protocol §7) or a track is named (protocol §1).
    """
    track = track_of(results)
    full = checked(results, track, None)
    found = [] if missing(track, full, track.seeds.full) else all_found(results, track)
    pair = [_complete(track, found, name) for name in (one, other)]
    _check_alike(track, *(side.subset for side in pair))
    whole = by_configuration(track, full)
    pool = shared_pool(track, whole, pair)
    if len(pool.entries) < 2:
        raise BadRequest(f"{one} and {other} share no two scored configurations (protocol §6)")
    x = seed_means(pool.scores(whole, track.metric, full=True))
    first, second = seed_means(subset_scores(track, pool, pair))
    refs = [side.subset.ref for side in pair]
    return SideBySide(
        track=track.name,
        sides=(_side(refs[0], x, first, pool.groups), _side(refs[1], x, second, pool.groups)),
        configurations=len(pool.entries),
        families=len(pool.families),
        difference=_difference(refs, x, first, second, pool.groups),
    )


def _complete(track: Track, found: Sequence[Found], name: str) -> Found:
    """Return the newest version of a subset whose planned runs are all there."""
    if name in tracks:
        raise BadRequest(
            f"{name} is a track; τ of tracks are never compared, only subsets of one (protocol §1)"
        )
    asked, version = parse_ref(name)
    done = [one for one in found if not one.missing]
    fitting = [
        one for one in done if one.subset.id == asked and version in (None, one.subset.version)
    ]
    if not fitting:
        known = ", ".join(one.subset.ref for one in done if one.named)
        raise BadResults(
            f"{track.name} has no complete results of {name}; it has {known or 'none'}"
        )
    return max(fitting, key=lambda one: one.subset.version)


def _check_alike(track: Track, one: Subset, other: Subset) -> None:
    """Raise for subsets of which one is tested on other, or more, images than the other."""
    if one.ref == other.ref:
        raise BadRequest(f"{one.ref} is given twice; a comparison needs two subsets")
    scopes = [scope(track, subset) for subset in (one, other)]
    if scopes[0] != scopes[1]:
        raise BadRequest(
            f"{one.ref} is tested at scope {scopes[0]}, {other.ref} at scope {scopes[1]}; subsets "
            "are compared at equal scope only (protocol §7)"
        )
    sizes = [_test_size(track, subset) for subset in (one, other)]
    if sizes[0] != sizes[1]:
        raise BadRequest(
            f"{one.ref} is tested on {sizes[0]} images, {other.ref} on {sizes[1]}; subsets are "
            "compared at equal test size only (protocol §7)"
        )


def _test_size(track: Track, subset: Subset) -> int:
    """Return how many test images a subset's runs are scored on."""
    base, _ = find_base(track.base)
    if scope(track, subset) == "full":
        return base.splits["test"].rows
    labels = load_keyring(base.id).labels["test"]
    return int(np.isin(labels, base.class_indices(subset.classes or [])).sum())


def _side(ref: str, x: Floats, y: Floats, groups: np.ndarray) -> Side:
    bounds = family_interval(x, y, groups, np.random.default_rng(BOOTSTRAP_SEED))
    return Side(subset=ref, tau=kendall_tau(x, y), interval=interval(bounds))


def _difference(
    refs: Sequence[str], x: Floats, first: Floats, second: Floats, groups: np.ndarray
) -> Difference | None:
    """Return τ of the first less that of the second; None where one is undefined."""
    tau, beside = kendall_tau(x, first), kendall_tau(x, second)
    if tau is None or beside is None:
        return None
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    paired = paired_difference(x, first, second, groups, rng)
    return Difference(
        one=refs[0],
        other=refs[1],
        difference=tau - beside,
        interval=interval(paired.bounds if paired else None),
        p=paired.p if paired else None,
    )


def compare(subset: str, scores: dict[str, float], results: Path) -> list[Order]:
    """Return every pair of a user's methods, the better on the subset first.

    `subset` is `base/name` or `base/name@version`; `results` a track's folder. `scores` are seed
    means in per cent, measured as the track measures. Raises `BadRequest` for fewer than two
    scores, and `BadResults` where the subset has no complete results there.
    """
    if len(scores) < 2:
        raise BadRequest(f"{len(scores)} scores were given; an order needs two")
    found = board(results)
    full, there, groups = _known(found, subset)
    gaps, alike, first, second = _pairs(full, there)
    named = sorted(scores, key=lambda name: (-scores[name], name))
    asked = np.array([scores[a] - scores[b] for a, b in combinations(named, 2)])
    holds = _chance(gaps, alike, np.ones(len(gaps)), asked)
    low = _lower(gaps, alike, groups, first, second, asked)
    return [
        Order(
            better=one,
            worse=other,
            points=float(gap),
            holds=float(share),
            low=None if low is None else float(low[place]),
            pairs=int((gaps >= gap).sum()),
        )
        for place, ((one, other), gap, share) in enumerate(
            zip(combinations(named, 2), asked, holds, strict=True)
        )
    ]


def read_scores(file: Path) -> dict[str, float]:
    """Read a CSV file with the columns method and score; several rows of a method are its seeds."""
    try:
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"{file} cannot be read: {error}") from None
    seeds: dict[str, list[float]] = {}
    for number, row in enumerate(rows, 2):
        try:
            value = float(row["score"])
            name = row["method"]
        except (KeyError, TypeError, ValueError):
            raise BadRequest(
                f"{file} line {number}: needs a method and a score, a number"
            ) from None
        if not name or not np.isfinite(value):
            raise BadRequest(f"{file} line {number}: needs a method and a score, a number")
        seeds.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in seeds.items()}


def _known(found: Board, subset: str) -> tuple[Floats, Floats, np.ndarray]:
    """Return the track's seed means on full data and on the subset, and the families."""
    name, version = parse_ref(subset)
    entries = [
        entry
        for entry in found.subsets
        if entry.subset == name and version in (None, entry.subset_version) and entry.fidelity
    ]
    if not entries:
        done = ", ".join(f"{e.subset}@{e.subset_version}" for e in found.subsets if e.fidelity)
        raise BadResults(
            f"{found.track.name} has no complete results of {subset}; it has {done or 'none'}"
        )
    entry = max(entries, key=lambda one: one.subset_version)
    assert entry.fidelity is not None
    here = {score.configuration: score.mean for score in entry.scores}
    pool = [
        (score.mean, here[score.configuration], score.family)
        for score in found.full
        if not score.anchor
        and score.configuration not in entry.fidelity.left_out
        and score.mean is not None
        and here.get(score.configuration) is not None
    ]
    families = sorted({family for *_, family in pool})
    full, there = (np.array([row[side] for row in pool], dtype=np.float64) for side in (0, 1))
    return full, there, np.array([families.index(family) for *_, family in pool])


def _pairs(full: Floats, there: Floats) -> tuple[Floats, Floats, np.ndarray, np.ndarray]:
    """Return each pair's difference on the subset, and whether full data agree (ties ½)."""
    first, second = np.triu_indices(len(full), 1)
    gap, whole = there[first] - there[second], full[first] - full[second]
    alike = np.where(gap * whole == 0, 0.5, gap * whole > 0).astype(np.float64)
    return np.abs(gap), alike, first, second


def _chance(gaps: Floats, alike: Floats, weights: Floats, asked: Floats) -> Floats:
    """Return the monotone share of agreement at each difference asked for, at least a half."""
    from sklearn.isotonic import IsotonicRegression

    used = weights > 0
    if not used.any():
        return np.full(len(asked), np.nan)
    fit = IsotonicRegression(y_min=0.5, y_max=1.0, out_of_bounds="clip")
    fit.fit(gaps[used], alike[used], sample_weight=weights[used])
    share: Floats = fit.predict(asked)
    return share


def _lower(
    gaps: Floats,
    alike: Floats,
    groups: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    asked: Floats,
) -> Floats | None:
    """Return the 5th percentile of `_chance` when whole families are resampled."""
    if len(np.unique(groups)) < FEWEST:
        return None
    drawn = family_draws(groups, np.random.default_rng(SEED), DRAWS)
    shares: Sequence[Floats] = [
        _chance(gaps, alike, row[first] * row[second], asked) for row in drawn
    ]
    low: Floats = np.nanpercentile(np.stack(shares), 5, axis=0)
    return low
