"""What authors claim beside what the rerun gave."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lotterybench.estimates import Interval
from lotterybench.fidelities import Board, Fidelity
from lotterybench.submissions.records import Claim
from lotterybench.submissions.referee.records import Checked

# How a claim is written: figures are rounded to so many decimals where its value is.
ROUNDING = 0.005


class Measured(NamedTuple):
    """A figure of the rerun: its value, its one-sided 95 % bounds if it has any, and of how many.

    Without bounds it can only be compared as a number.
    """

    value: float
    low: float | None
    high: float | None
    n: str


def checked_claims(
    claims: Sequence[Claim],
    own: str,
    boards: Mapping[str, Board],
    scores: Mapping[tuple[str, str | None], Measured] | None = None,
) -> list[Checked]:
    """Return each claim beside the rerun's figure.

    `own` is the submission's subset as `base/name@version`. `boards` has the boards of the tracks
    that it was rerun on; `scores` the accuracies of a method by track and subset (None: full data).
    """
    return [_beside(claim, _found(claim, own, boards, scores or {})) for claim in claims]


def _beside(claim: Claim, found: Measured | None) -> Checked:
    if found is None:
        return Checked(claim=claim, says="not measured")
    low, high = found.value if found.low is None else found.low, found.high
    high = found.value if high is None else high
    says = "agrees"
    if claim.value > high + ROUNDING:
        says = "above"
    elif claim.value < low - ROUNDING:
        says = "below"
    return Checked.model_validate(
        {"claim": claim, "value": found.value, "low": found.low, "high": found.high, "n": found.n,
         "says": says}
    )  # fmt: skip


def _found(
    claim: Claim,
    own: str,
    boards: Mapping[str, Board],
    scores: Mapping[tuple[str, str | None], Measured],
) -> Measured | None:
    if claim.figure == "accuracy":
        return scores.get((claim.track, claim.subset))
    board = boards.get(claim.track)
    if board is None or claim.subset is None:
        return None
    asked = own if claim.subset.partition("@")[0] == own.partition("@")[0] else claim.subset
    entry = next(
        (one for one in board.subsets if f"{one.subset}@{one.subset_version}" == asked), None
    )
    return (
        None if entry is None or entry.fidelity is None else _figure(claim.figure, entry.fidelity)
    )


def _figure(name: str, found: Fidelity) -> Measured | None:
    """Return one figure of a fidelity by the name that claims have for it."""
    pairs, regret = found.pairs, found.regret
    figures: dict[str, tuple[float | None, Interval | None]] = {
        "tau-b": (found.tau, found.interval),
        "rho": (found.rho, found.rho_interval),
        "weighted-tau": (found.weighted_tau, None),
        "top-half-tau": (found.top_half_tau, None),
        "pair-agreement": (pairs.agreement, pairs.interval) if pairs else (None, None),
        "regret": (regret.lost if regret else None, None),
        "cost-ratio": (found.cost_ratio, None),
    }
    value, interval = figures[name]
    if value is None:
        return None
    seeds = f"{found.seeds_full} and {found.seeds_subset} seeds"
    n = f"{found.configurations} configurations of {found.families} families, {seeds}"
    if interval is None:
        return Measured(value, None, None, n)
    return Measured(value, interval.low, interval.high, n)
