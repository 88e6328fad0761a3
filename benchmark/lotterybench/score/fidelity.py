"""One subset against full data: every statistic of the protocol's §3 to §5 and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lotterybench.fidelities import (
    Control,
    Fidelity,
    Interval,
    Null,
    Pairs,
    Ratio,
    Regret,
    Trend,
)
from lotterybench.manifests import find_base
from lotterybench.ranking import (
    Bounds,
    Floats,
    ceiling_ratio,
    configuration_interval,
    family_interval,
    item_ceiling,
    kendall_tau,
    paired_difference,
    spearman_rho,
    top_half_tau,
    top_overlap,
    two_level_interval,
    variants,
    weighted_tau,
)
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.ceilings import arm_ceiling, repeat_ceiling, repeat_ceiling_of
from lotterybench.ranking.components import seed_ratio
from lotterybench.ranking.null import rank_p, t_test
from lotterybench.ranking.pairs import pair_agreement, pair_agreement_interval, resolution
from lotterybench.ranking.regret import regret
from lotterybench.ranking.trends import trend_agreement
from lotterybench.score.classes import class_rows, decomposition, own_classes
from lotterybench.score.comparison import SHORT, Comparison
from lotterybench.score.items import tested
from lotterybench.score.judged import judged
from lotterybench.score.pool import Runs, Scored
from lotterybench.score.spending import costs

# A fixed seed: the bounds of a board are part of its committed bytes.
BOOTSTRAP_SEED = 20260101
TOP = 5


def fidelity_of(this: Comparison) -> Fidelity:
    """Rank the pool on both sides and judge the subset."""
    track, pool = this.track, this.pool
    full = pool.scores(this.full, track.metric, full=True)
    there = pool.scores(this.there, track.metric, full=False)
    shape = {
        "track": track.name, "track_version": track.version, "track_digest": track.digest(),
        "subset": this.subset.id, "subset_version": this.subset.version,
        "subset_digest": this.subset.digest, "scope": _scope(this), "metric": track.metric,
        "configurations": len(pool.entries), "families": len(pool.families),
        "seeds_full": track.seeds.full, "seeds_subset": track.seeds.subset,
        **costs(track, this.subset, pool, this.there, this.full), "failures": _failures(this),
        "uneven": this.uneven, "left_out": pool.left_out, "verdict": "descriptive",
        "why": "fewer than two configurations are left to rank",
    }  # fmt: skip
    if len(pool.entries) < 2:
        return Fidelity.model_validate(shape)
    return judged(this, Fidelity.model_validate({**shape, **_statistics(this, full, there)}))


def _statistics(this: Comparison, full: Floats, there: Floats) -> dict[str, Any]:
    """Return the fields of a fidelity that are statistics of seed scores (n, s_f) and (n, s_s)."""
    x, y, groups = seed_means(full), seed_means(there), this.pool.groups
    tau = kendall_tau(x, y)
    arm = arm_ceiling(full, there, _rng())
    others = variants(full, there)
    found: dict[str, Any] = {
        "tau": tau,
        "rho": spearman_rho(x, y),
        "ceiling": repeat_ceiling(full),
        "arm_ceiling": arm.ceiling if arm else None,
        "weighted_tau": weighted_tau(x, y),
        "top_half_tau": top_half_tau(x, y),
        "top_half_ceiling": repeat_ceiling_of(
            lambda a, b: top_half_tau(seed_means(a), seed_means(b)), full
        ),
        "top_5": top_overlap(x, y, TOP),
        "without_ends": others.without_ends,
        "medians": others.medians,
        "without_failures": others.without_failures,
        "sd_full": float(np.std(x, ddof=1)),
        "q_full": seed_ratio(full),
        "q_subset": seed_ratio(there),
        "pairs": _pairs(full, there, this.pool),
        "trend": _trend(full, there, this.pool),
        "regret": _regret(full, y),
        "control": _control(this, x, y),
        "null": _null(this, this.null, x, tau),
        "null_matched": _null(this, this.matched, x, tau),
    }
    found |= _by_items(this, full, y, found)
    if tau is None:
        return found
    found["interval"] = _interval(family_interval(x, y, groups, _rng()), "families")
    found["rho_interval"] = _interval(
        family_interval(x, y, groups, _rng(), statistic="rho"), "families"
    )
    found["sensitivity"] = _interval(configuration_interval(x, y, _rng()), "configurations")
    if np.isfinite(there).all():
        found["two_level"] = _interval(
            two_level_interval(full, there, _rng()), "configurations and seeds"
        )
    if arm is not None:
        over = ceiling_ratio(x, y, arm.ceiling, arm.concordance, groups, _rng())
        if over is not None:
            found["ratio"] = Ratio(value=over.ratio, interval=_interval(over.bounds, "families"))
    return found


def _by_items(this: Comparison, full: Floats, y: Floats, found: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that need test items; none without them."""
    items = tested(this.items, this.pool, this.full)
    if items is None:
        return {}
    names, rows, size = this.subset.classes, None, None
    if names is not None:
        among = find_base(this.track.base)[0].class_indices(names)
        rows = class_rows(items, among, full, y, BOOTSTRAP_SEED)
        size = items.size(among) if _scope(this) == "subset" else None
    own = own_classes(seed_means(full), this.pool, this.there)
    parts = decomposition(_scope(this), found["tau"], found["ceiling"], rows, own)
    return {
        "item_ceiling": item_ceiling(items.per_item(), _rng(), size=size),
        "classes": rows,
        "decomposition": parts,
    }


def _rng() -> np.random.Generator:
    return np.random.default_rng(BOOTSTRAP_SEED)


def _interval(bounds: Bounds | None, what: str) -> Interval | None:
    if bounds is None:
        return None
    return Interval.model_validate({"low": bounds.low, "high": bounds.high, "resampled": what})


def _scope(this: Comparison) -> str:
    return next(run.scope for runs in this.there.values() for run in runs)


def _failures(this: Comparison) -> int:
    return sum(
        run.status not in ("ok", "infra") for e in this.pool.entries for run in this.there[e.name]
    )


def _pairs(full: Floats, there: Floats, pool: Scored) -> Pairs:
    clear = pair_agreement(full, there)
    gap = resolution(seed_means(full), seed_means(there))
    return Pairs(
        agreement=clear.agreement if clear else None,
        kept=clear.kept if clear else None,
        interval=_interval(pair_agreement_interval(full, there, pool.groups, _rng()), "families"),
        ceiling=repeat_ceiling_of(_agreement, full),
        gap=gap.gap,
        resolved=gap.resolved,
    )


def _agreement(full: Floats, other: Floats) -> float | None:
    found = pair_agreement(full, other)
    return found.agreement if found else None


def _trend(full: Floats, there: Floats, pool: Scored) -> Trend | None:
    found = trend_agreement(full, there, pool.axes(), _rng())
    if found is None:
        return None
    return Trend(
        same=found.same, opposite=found.opposite, unresolved=found.unresolved,
        headline=found.headline, opposite_rate=found.opposite_rate, lost=found.lost,
        interval=_interval(found.bounds, "axes"),
    )  # fmt: skip


def _regret(full: Floats, y: Floats) -> Regret | None:
    found = regret(full, y)
    return Regret(lost=found.lost, own=found.own) if found else None


def _control(this: Comparison, x: Floats, y: Floats) -> Control | None:
    """Compare with the control that costs as much as the subset, or the next dearer one."""
    spent = costs(this.track, this.subset, this.pool, this.there, this.full)
    cost = spent.get("total_ratio") or spent["cost_ratio"]
    fit = sorted(
        (one for one in this.controls if one.arm.arm == "control"), key=lambda one: one.arm.amount
    )
    chosen = next((one for one in fit if one.arm.amount >= cost * 0.99), None)
    if chosen is None:
        return None
    c = seed_means(this.pool.scores(chosen.runs, this.track.metric, full=False))
    paired = paired_difference(x, y, c, this.pool.groups, _rng())
    epochs = [run.epochs for e in this.pool.entries for run in chosen.runs[e.name]]
    tau, own = kendall_tau(x, c), kendall_tau(x, y)
    return Control(
        arm=str(chosen.arm),
        amount=chosen.arm.amount,
        tau=tau,
        difference=None if tau is None or own is None else own - tau,
        interval=_interval(paired.bounds, "families") if paired else None,
        short=min(epochs, default=0) < SHORT,
    )


def _null(this: Comparison, null: Sequence[Runs], x: Floats, tau: float | None) -> Null | None:
    """Place τ among those of random subsets, on the same configurations."""
    if not null:
        return None
    taus = [
        kendall_tau(x, seed_means(this.pool.scores(runs, this.track.metric, full=False)))
        for runs in null
    ]
    defined = [value for value in taus if value is not None]
    test = t_test([tau], taus, len(x))
    return Null(
        count=len(taus),
        low=min(defined, default=None),
        mean=float(np.mean(defined)) if defined else None,
        high=max(defined, default=None),
        p=rank_p(tau, taus),
        p_t=test.p if test else None,
    )
