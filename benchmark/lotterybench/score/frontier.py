"""The cost frontier and the decision value of a track (protocol §12), for any kind of track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lotterybench.estimates import Choice, Estimate, Frontier, Interval, Point, ProxyKind, Scheme
from lotterybench.ranking import Bounds, Floats
from lotterybench.ranking.base.arrays import Ints, percentiles
from lotterybench.ranking.decision import Stage, points_lost
from lotterybench.ranking.resampling import few
from lotterybench.ranking.simultaneous import tau_draws

FAITHFUL = 0.7
SAMPLED = 200  # combinations of random subsets of several sizes, where there are more
ROUNDS = 3  # of successive halving, before full data


@dataclass(frozen=True)
class Saving:
    """One way to save: `scores` (K, n) are seed means of its K proxies, `cost` that of a run.

    `tau` is known where it was computed already. `ladder` names ways that differ in nothing but
    their cost, which successive halving climbs; "" if there is none.
    """

    kind: ProxyKind
    name: str
    cost: float
    scores: Floats
    tau: Estimate | None = None
    ladder: str = ""


def frontier(
    full: Floats, x: Floats, savings: Sequence[Saving], families: Ints, rng: np.random.Generator
) -> Frontier:
    """Return τ and full-data points lost of every way to save, against what it costs.

    `full` (n, s) are seed scores on full data and `x` (n,) their means. Ways are ordered by kind
    and cost.
    """
    ordered = sorted(savings, key=lambda one: (one.kind, one.cost, one.name))
    points, choices = [], []
    for one in ordered:
        tau = one.tau or mean_tau(x, one.scores, families, rng)
        best = _choice(full, "best", [one], [1], families, rng)
        three = _choice(full, "three", [one], [3], families, rng)
        choices += [choice for choice in (best, three) if choice]
        points.append(
            Point(
                kind=one.kind, name=one.name, cost=one.cost, proxies=len(one.scores), tau=tau,
                lost=best and best.lost,
            )
        )  # fmt: skip
    for ladder in sorted({one.ladder for one in ordered} - {""}):
        rounds = _rounds([one for one in ordered if one.ladder == ladder])
        halving = _choice(full, "halving", rounds, [0.5] * len(rounds), families, rng)
        if len(rounds) > 1 and halving:
            choices.append(halving)
    return Frontier(points=points, choices=choices, reaches=_reaches(points))


def mean_tau(
    x: Floats, scores: Floats, families: Ints, rng: np.random.Generator
) -> Estimate | None:
    """Return the mean τ-b of proxies (K, n) with x (n,), and its family interval."""
    found = tau_draws(x, scores, families, rng)
    if not np.isfinite(found.tau).all():
        return None
    bounds = None if few(families) else percentiles(found.drawn.mean(axis=1))
    return estimate(float(found.tau.mean()), bounds)


def estimate(value: float, bounds: Bounds | None) -> Estimate:
    """Return a figure with its family interval."""
    return Estimate(value=value, interval=interval(bounds))


def interval(bounds: Bounds | None) -> Interval | None:
    """Return the record of family bounds."""
    return bounds and Interval(low=bounds.low, high=bounds.high, resampled="families")


def _rounds(savings: Sequence[Saving]) -> list[Saving]:
    """Return the rounds of successive halving: the dearest way, and up to two of half the cost."""
    found: list[Saving] = []
    for one in sorted(savings, key=lambda one: -one.cost):
        if not found or (one.cost <= 0.55 * found[-1].cost and len(found) < ROUNDS):
            found.append(one)
    return found[::-1]


def _choice(
    full: Floats,
    scheme: Scheme,
    rounds: Sequence[Saving],
    keep: Sequence[int | float],
    families: Ints,
    rng: np.random.Generator,
) -> Choice | None:
    """Return what choosing by these rounds loses and spends; None where it is undefined."""
    if not rounds:
        return None
    many = max(len(one.scores) for one in rounds)
    if len(rounds) > 1:
        many = min(SAMPLED, many)
    stages = [
        Stage(_sampled(one.scores, many, rng), count)
        for one, count in zip(rounds, keep, strict=True)
    ]
    found = points_lost(full, stages, families, rng)
    if found is None:
        return None
    spend, left = 0.0, len(full)
    for one, count in zip(rounds, keep, strict=True):
        spend += left * one.cost
        left = count if isinstance(count, int) else -(-left // 2)
    return Choice(
        scheme=scheme,
        kind=rounds[0].kind,
        names=[one.name for one in rounds],
        spend=spend + (left if left > 1 else 0),
        pool=len(full),
        lost=estimate(found.lost, found.bounds),
    )


def _sampled(scores: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return `count` of the proxies (K, n), all of them if they are as many."""
    if len(scores) == count:
        return scores
    return scores[rng.integers(len(scores), size=count)]


def _reaches(points: Sequence[Point]) -> dict[str, float]:
    """Return the smallest cost of each kind at which the lower bound of τ reaches 0.7."""
    found: dict[str, float] = {}
    for point in points:
        low = point.tau.interval.low if point.tau and point.tau.interval else -1.0
        if low >= FAITHFUL:
            found[point.kind] = min(point.cost, found.get(point.kind, point.cost))
    return found
