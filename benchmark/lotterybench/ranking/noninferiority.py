"""Is a ticket as good as the dense network? Non-inferiority, and the paper's rule (§10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.ranking.base.arrays import Floats

SURE = 0.95


class Spread(NamedTuple):
    """A standard deviation pooled over groups, and its degrees of freedom."""

    sd: float
    df: int


def pooled(groups: Sequence[Floats]) -> Spread | None:
    """Return the standard deviation inside groups of seeds; None if no group has two."""
    df = sum(len(group) - 1 for group in groups if len(group))
    if df == 0:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups if len(group))
    return Spread(math.sqrt(squares / df), df)


def lower_bound(ticket: Floats, dense: Floats, spread: Spread) -> float:
    """Return the one-sided 95 % lower bound of the mean of `ticket` less that of `dense`."""
    from scipy.stats import t

    error = spread.sd * math.sqrt(1 / len(ticket) + 1 / len(dense))
    return float(ticket.mean() - dense.mean() - t.ppf(SURE, spread.df) * error)


def in_sequence(bounds: Sequence[float | None], margin: float) -> list[bool | None]:
    """Test levels in their order until one fails: True, then at most one False, then None.

    A level is non-inferior where its bound exceeds −`margin`. As each is tested only if all before
    it held, the chance of any false claim is that of one test. A bound that is None fails.
    """
    if margin <= 0:
        raise BadRequest(f"a margin of {margin:g} points; it is above 0")
    said: list[bool | None] = []
    for bound in bounds:
        open_ = all(held is True for held in said)
        said.append((bound is not None and bound > -margin) if open_ else None)
    return said


def power_if_equal(spread: Spread, tickets: int, dense: int, margin: float) -> float:
    """Return how often a ticket that equals the dense network is found non-inferior, by one test.

    The standard deviation is taken as known to be that of `spread`.
    """
    from scipy.stats import nct, t

    if spread.sd == 0:
        return 1.0
    away = margin / (spread.sd * math.sqrt(1 / tickets + 1 / dense))
    return float(nct.sf(t.ppf(SURE, spread.df), spread.df, away))


def within_sd(ticket: Floats, dense: Floats) -> bool:
    """Say whether a mean is no more than one standard deviation below the dense networks' mean.

    The paper's rule (footnote 7); the standard deviation is the dense networks' own.
    """
    return bool(ticket.mean() >= dense.mean() - dense.std(ddof=1))


def within_sd_if_equal(tickets: int, dense: int) -> float:
    """Return how often a ticket that equals the dense network passes the paper's rule.

    The difference of means over the dense standard deviation, times √(1/n + 1/m) inverted, is t
    with m − 1 degrees of freedom. With three runs each it is 83 %.
    """
    from scipy.stats import t

    return float(t.sf(-1 / math.sqrt(1 / tickets + 1 / dense), dense - 1))
