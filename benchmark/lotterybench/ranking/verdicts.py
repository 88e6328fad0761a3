"""Verdicts: faithful, ticket, refuted, undecided or descriptive, from bounds and p (protocol §8).

Bounds are one-sided 95 %. A verdict needs what protocol §1 and §2 ask for; without it the track
is descriptive. A missing control or null takes away only what rests on it.
"""

from typing import Literal, NamedTuple

from lotterybench.ranking.base.arrays import Bounds
from lotterybench.ranking.null import enough
from lotterybench.ranking.power import ALPHA, ENOUGH, FAITHFUL, MARGIN, TRUE_TAU, needed, noise_free

MIN_FAMILIES, MIN_CONFIGURATIONS = 12, 36
MIN_SEEDS = (6, 3)  # on full data, on a subset
NOISY = 0.35  # q on the subset above which 5 seeds and 48 configurations are needed
NOISY_SEEDS, NOISY_CONFIGURATIONS = 5, 48

Word = Literal["faithful", "ticket", "refuted", "undecided", "descriptive"]


class Evidence(NamedTuple):
    """What is known of one subset.

    Scored `families` and `configurations`; planned seeds; `q_full` and `q_subset` (seed sd over
    method sd) and `power` (of a perfect proxy to be called faithful) of the pilot; `cost_ratio`,
    the subset's cost over full data's; `missing`, planned runs without a status. `tau` and its
    family bounds; the control's τ and the bounds of τ_S − τ_C (None: no control was run);
    `p`, after Holm, among `null` random subsets (None: there are none); at the `primary` budget
    more of them are needed. An `uneven` subset has a second null, matched on its class counts:
    `p_matched` among `null_matched`.
    """

    families: int
    configurations: int
    seeds_full: int
    seeds_subset: int
    q_full: float | None
    q_subset: float | None
    power: float | None
    cost_ratio: float
    tau: float | None
    bounds: Bounds | None
    control: float | None = None
    difference: Bounds | None = None
    p: float | None = None
    null: int = 0
    missing: int = 0
    primary: bool = False
    uneven: bool = False
    p_matched: float | None = None
    null_matched: int = 0


class Verdict(NamedTuple):
    """A verdict and the reason in words."""

    verdict: Word
    why: str


def verdict(found: Evidence) -> Verdict:
    """Return the verdict on a subset and why (protocol §8)."""
    lacking = requirements(found)
    if lacking:
        return Verdict("descriptive", "; ".join(lacking))
    if found.bounds is None:
        return Verdict("undecided", "τ is undefined: all scores of a side are tied")
    low, high = found.bounds
    if high < FAITHFUL:
        return Verdict("refuted", f"the upper bound of τ, {high:.2f}, is below {FAITHFUL}")
    doubts = _doubts(found, low)
    if doubts:
        return Verdict("undecided", "; ".join([*doubts, _needs(found)]))
    assert found.difference is not None
    reached = (
        f"the lower bounds of τ, {low:.2f}, and of τ less the control's, "
        f"{found.difference.low:+.2f}, reach {FAITHFUL} and {MARGIN:+.2f}"
    )
    short = _short_of_ticket(found)
    if short:
        return Verdict("faithful", f"{reached}; no ticket: {' and '.join(short)}")
    better = f"better than random (p = {found.p:.3f}"
    if found.uneven:
        better += f", with its class counts {found.p_matched:.3f}"
    return Verdict("ticket", f"{reached}; {better}) and the control")


def requirements(found: Evidence) -> list[str]:
    """Return what protocol §1, §2 and §5 ask of a verdict and is not there, in words."""
    lacking = []
    if found.families < MIN_FAMILIES or found.configurations < MIN_CONFIGURATIONS:
        lacking.append(
            f"{found.configurations} configurations of {found.families} families; a verdict "
            f"needs {MIN_CONFIGURATIONS} of {MIN_FAMILIES} (protocol §1)"
        )
    if found.seeds_full < MIN_SEEDS[0] or found.seeds_subset < MIN_SEEDS[1]:
        lacking.append(
            f"{found.seeds_full} + {found.seeds_subset} seeds; it needs "
            f"{MIN_SEEDS[0]} + {MIN_SEEDS[1]} (protocol §2)"
        )
    if found.q_full is None or found.q_subset is None or found.power is None:
        lacking.append("no pilot has estimated q and the power (protocol §2)")
    else:
        few = found.seeds_subset < NOISY_SEEDS or found.configurations < NOISY_CONFIGURATIONS
        if found.q_subset > NOISY and few:
            lacking.append(
                f"q is {found.q_subset:.2f} on the subset; above {NOISY} a verdict needs "
                f"{NOISY_SEEDS} seeds and {NOISY_CONFIGURATIONS} configurations (protocol §2)"
            )
        if found.power < ENOUGH:
            lacking.append(
                f"a perfect proxy would be called faithful {100 * found.power:.0f} % of the time; "
                f"a verdict needs {100 * ENOUGH:.0f} % (protocol §2)"
            )
    if found.cost_ratio >= 1:
        lacking.append(
            "the subset costs no less than full data, so there is no saving to judge (protocol §5)"
        )
    if found.missing:
        lacking.append(f"{found.missing} planned runs have no status yet (protocol §1)")
    return lacking


def _doubts(found: Evidence, low: float) -> list[str]:
    """Return what keeps a subset from being called faithful."""
    doubts = []
    if low < FAITHFUL:
        doubts.append(f"the lower bound of τ, {low:.2f}, is below {FAITHFUL}")
    if found.difference is None:
        doubts.append("no equal-cost control was run (protocol §5)")
    elif found.difference.low < MARGIN:
        doubts.append(
            f"the lower bound of τ less the control's, {found.difference.low:+.2f}, is below "
            f"{MARGIN:+.2f}"
        )
    return doubts


def _short_of_ticket(found: Evidence) -> list[str]:
    short = []
    nulls = [("", found.p, found.null)]
    if found.uneven:
        nulls.append((" with its class counts", found.p_matched, found.null_matched))
    for what, p, count in nulls:
        if p is None or count < enough(found.primary):
            fewest = enough(found.primary)
            short.append(f"a null of {count} random subsets{what}, not {fewest} (protocol §5)")
        elif p > ALPHA:
            short.append(f"not better than random{what} (p = {p:.3f} after Holm)")
    if found.difference is not None and found.difference.low <= 0:
        short.append("not better than the control")
    return short


def _needs(found: Evidence) -> str:
    """Say at which size a true τ of 0.9 would be called faithful with 80 % power."""
    assert found.q_full is not None and found.q_subset is not None
    seeds = found.seeds_full, found.seeds_subset
    control = found.control
    if control is not None:
        control = noise_free(control, found.q_full, found.q_subset, *seeds)
    size = needed(
        found.q_full, found.q_subset, seeds_full=seeds[0], seeds_subset=seeds[1], control=control
    )
    what = f"a true τ of {TRUE_TAU} would be called faithful with {100 * ENOUGH:.0f} % power"
    if size is None:
        return f"no pool of up to 120 configurations and 8 seeds has the power: {what} at none"
    return (
        f"{what} at {size.configurations} configurations of {size.families} families with "
        f"{size.seeds_full} + {size.seeds_subset} seeds"
    )
