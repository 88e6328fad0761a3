"""Does accelerated training preserve the ranking of methods? (protocol §3 to §5, §8)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lotterybench.ranking.agreement import kendall_tau, spearman_rho
from lotterybench.ranking.base.arrays import Bounds, seed_means
from lotterybench.ranking.ceilings import arm_ceiling, repeat_ceiling
from lotterybench.ranking.components import seed_ratio
from lotterybench.ranking.resampling import (
    ceiling_ratio,
    configuration_interval,
    family_interval,
    paired_difference,
    two_level_interval,
)
from lotterybench.ranking.verdicts import Evidence, Verdict, verdict
from lotterybench.score.fidelity import BOOTSTRAP_SEED
from lotterybench.score.studies.acceleration_pool import Place, Pool
from lotterybench.studies.acceleration import FEWEST, FORMS, Arm
from lotterybench.studies.acceleration_report import Range, RankGap, RankRow

FEWER: tuple[Arm, ...] = ("base-shorter", "base-equal-cost")  # full data for fewer epochs


def rankings_of(pool: Pool) -> list[RankRow]:
    """Return a row for each arm, prior and budget that at least four configurations have."""
    if pool.full not in pool.held:
        return []
    found = (_row(pool, place) for place in pool.held if place != pool.full)
    return [row for row in found if row is not None]


def _row(pool: Pool, place: Place) -> RankRow | None:
    names, cost = pool.having(place), pool.cost(place)
    if len(names) < FEWEST or cost is None:
        return None
    full, there = pool.values(pool.full, names), pool.values(place, names)
    if not full.shape[1] or not there.shape[1]:
        return None
    x, y, groups = seed_means(full), seed_means(there), pool.groups(names)
    arm = arm_ceiling(full, there, _rng())
    over = arm and ceiling_ratio(x, y, arm.ceiling, arm.concordance, groups, _rng())
    row = RankRow(
        arm=place.arm, prior=place.prior, budget=place.budget, n=len(names),
        groups=len(set(groups)), seeds_full=full.shape[1], seeds=there.shape[1],
        tau=kendall_tau(x, y), rho=spearman_rho(x, y),
        tau_all=_tau(pool, place, pool.having(place, related=True)),
        families=_range(family_interval(x, y, groups, _rng())),
        configurations=_range(configuration_interval(x, y, _rng())),
        two_level=(
            _range(two_level_interval(full, there, _rng())) if np.isfinite(there).all() else None
        ),
        repeat_full=repeat_ceiling(full), repeat_arm=repeat_ceiling(there),
        arm_ceiling=arm.ceiling if arm else None, ratio=over.ratio if over else None,
        cost=cost, failures=int(np.isinf(there).sum()),
        against=_against(pool, place, names, cost), verdict="descriptive", why="",
    )  # fmt: skip
    missing = sum(pool.missing(where, names) for where in (pool.full, place))
    judged = _judged(row, seed_ratio(full), seed_ratio(there), missing)
    return row.model_copy(update=judged._asdict())


def _tau(pool: Pool, place: Place, names: Sequence[str]) -> float | None:
    sides = [pool.values(where, names) for where in (pool.full, place)]
    if not all(side.shape[1] for side in sides):
        return None
    return kendall_tau(*(seed_means(side) for side in sides))


def _judged(row: RankRow, q_full: float | None, q: float | None, missing: int) -> Verdict:
    """Return the verdict of protocol §8; no pilot goes before a study, so it is descriptive."""
    control = next((one for one in row.against if one.equal_cost), None)
    bounds = None if row.families is None else Bounds(row.families.low, row.families.high)
    apart = control and control.families
    return verdict(
        Evidence(
            families=row.groups, configurations=row.n, seeds_full=row.seeds_full,
            seeds_subset=row.seeds, q_full=q_full, q_subset=q, power=None, cost_ratio=row.cost,
            tau=row.tau, bounds=bounds, control=control.tau if control else None,
            difference=Bounds(apart.low, apart.high) if apart else None, missing=missing,
        )
    )  # fmt: skip


def _against(pool: Pool, place: Place, names: Sequence[str], cost: float) -> list[RankGap]:
    """Return what an arm on fewer samples adds to others: the same samples, fewer epochs."""
    data = FORMS[place.arm].data
    if data == "full":
        return []
    others: list[Arm] = [*FEWER]
    if place.arm not in ("base-redrawn", "base-fixed"):
        others.insert(0, "base-redrawn" if data == "redrawn" else "base-fixed")
    gaps = (
        _gap(pool, place, other, names, cost)
        for arm in others
        for other in pool.held
        if (other.arm, other.budget) == (arm, place.budget) and other.prior in (None, place.prior)
    )
    return [gap for gap in gaps if gap is not None]


def _gap(
    pool: Pool, place: Place, other: Place, names: Sequence[str], cost: float
) -> RankGap | None:
    both = [name for name in pool.having(other) if name in names]
    if len(both) < FEWEST:
        return None
    sides = [pool.values(where, both) for where in (pool.full, place, other)]
    if not all(side.shape[1] for side in sides):
        return None
    x, y, c = (seed_means(side) for side in sides)
    own, tau = kendall_tau(x, y), kendall_tau(x, c)
    by = [
        paired_difference(x, y, c, groups, _rng())
        for groups in (pool.groups(both), np.arange(len(both)))
    ]
    families, configurations = (_range(one.bounds if one else None) for one in by)
    return RankGap(
        arm=other.arm, prior=other.prior, n=len(both), tau=tau,
        difference=None if own is None or tau is None else own - tau,
        equal_cost=_pays(pool, other, cost), families=families, configurations=configurations,
    )  # fmt: skip


def _pays(pool: Pool, other: Place, cost: float) -> bool:
    """Say whether an arm is full data for round(epochs × cost) epochs (protocol §5)."""
    return other.arm in FEWER and all(
        cell.epochs == max(1, round(cost * pool.study.method(cell.method).training.epochs))
        for cell in pool.cells(other)
    )


def _range(bounds: Bounds | None) -> Range | None:
    return None if bounds is None else Range(low=bounds.low, high=bounds.high)


def _rng() -> np.random.Generator:
    return np.random.default_rng(BOOTSTRAP_SEED)


WORDS = {"faithful": "shown", "ticket": "shown, and better than random", "refuted": "refuted"}


def ranking_says(pool: Pool, rows: Sequence[RankRow]) -> list[str]:
    """Say how arms with the main prior's targets rank methods at the primary budget.

    Whether they preserve the ranking is `not shown` short of a verdict (protocol §8).
    """
    main = pool.study.methods[0].main
    said = [
        _told(row)
        for row in rows
        if (row.prior, row.budget) == (main, pool.study.primary)
        and FORMS[row.arm].targets == "prior"
    ]
    for why in dict.fromkeys([*pool.unfit.values(), *pool.related.values()]):
        names = [name for name, one in {**pool.unfit, **pool.related}.items() if one == why]
        said.append(f"Not ranked: {', '.join(names)}: {why}.")
    return said


def _told(row: RankRow) -> str:
    tau = "undefined" if row.tau is None else f"{row.tau:.2f}"
    bounds = "no interval below 6 families (protocol §3)"
    if row.families is not None:
        bounds = f"90 % {row.families.low:.2f} to {row.families.high:.2f}"
    ceiling = "unknown" if row.arm_ceiling is None else f"{row.arm_ceiling:.2f}"
    gaps = "".join(
        f"; {one.difference:+.2f} to {one.arm}{' (equal cost)' if one.equal_cost else ''}"
        for one in row.against
        if one.difference is not None
    )
    return (
        f"{row.arm} {row.prior} at {row.budget:.0%} of the samples orders {row.n} configurations "
        f"of {row.groups} families as full data does with τ-b {tau} ({bounds}; arm ceiling "
        f"{ceiling}{gaps}). That it preserves the ranking is "
        f"{WORDS.get(row.verdict, 'not shown')}: {row.why}."
    )
