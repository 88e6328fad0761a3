"""What a rerun says of a published figure, in the five words of protocol §11."""

from typing import Literal, NamedTuple

import numpy as np

from lotterybench.errors import BadRequest
from lotterybench.ranking.base.arrays import Floats

Word = Literal[
    "reproduced", "contradicted", "inconclusive", "different setting", "not yet run"
]  # fmt: skip


class TwoSided(NamedTuple):
    """A two-sided 95 % interval."""

    low: float
    high: float


def two_sided(draws: Floats) -> TwoSided | None:
    """Return the 2.5th and 97.5th percentiles of the defined draws (draws,); None if none is."""
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return None
    low, high = np.percentile(draws, [2.5, 97.5])
    return TwoSided(float(low), float(high))


def claim_word(
    published: float, tolerance: float, found: TwoSided | None, *, same_setting: bool = True
) -> Word:
    """Return what a rerun's interval says of a published figure.

    *Reproduced*: the whole interval lies within `tolerance` of the figure, which was committed
    before the run; *contradicted*: none of it does; *inconclusive*: a part does. Another setting
    than the paper's is said whatever was found. Raises `BadRequest` for a tolerance below 0, or
    for 0, which no interval can meet.
    """
    if not tolerance > 0:
        raise BadRequest(f"the tolerance is {tolerance:g}; it lies above 0 (protocol §11)")
    if found is None:
        return "not yet run"
    if not same_setting:
        return "different setting"
    low, high = published - tolerance, published + tolerance
    if low <= found.low and found.high <= high:
        return "reproduced"
    return "contradicted" if found.high < low or found.low > high else "inconclusive"
