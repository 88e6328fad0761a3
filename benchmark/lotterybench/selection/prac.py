"""PrAC sets: samples that are hard to memorise (CET), or whose class pruning changes (CEP)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.selection.base import Pool, Spec, samples

Yes = NDArray[np.bool_]


@samples(
    "prac",
    Spec(
        first="hard to memorise and changed by pruning, then hard (never learnt first), then "
        "changed, in-sample",
        reads=("prac_forgotten", "prac_changed"),
        time="N log N",
        memory="N rounds",
        paper="Zhang et al. 2021",
        apart="a set has its own size and no order: here a smaller budget takes the first of it, a "
        "larger one is refused. As in the code, what was never right is always hard, and CEP "
        "compares classes, right or wrong. The code can also keep a fixed part by the count, where "
        "its argsort()[-rest:] takes all samples if rest is 0: not here",
    ),
    nests=True,
)
def prac(
    pool: Pool,
    size: int,
    rng: np.random.Generator,
    *,
    round: int | None = None,
    parts: Literal["both", "cet", "cep"] = "both",
    threshold: int = 0,
) -> NDArray[np.int64]:
    """Take the set after a round of a PrAC arm (default: its last), as `lotterybench run` left it.

    CET are the samples of the round's training that were forgotten more than `threshold` times,
    CEP those whose predicted class pruning changed; `parts` may leave out one. Those in both come
    first, then CET, either by times forgotten, then CEP; ties by position. Raises `BadRequest` for
    more samples than the set has, and for a setting of which the arm wrote nothing down.
    """
    forgotten, changed = pool.samples("prac_forgotten"), pool.samples("prac_changed")
    at = _round(round, forgotten.shape[1])
    none = np.zeros(len(pool), bool)
    cet = _hard(forgotten[:, at], threshold) if parts != "cep" else none
    cep = _changed(changed[:, at]) if parts != "cet" else none
    there = int((cet | cep).sum())
    if size > there:
        of = f"round {at} with parts {parts} and threshold {threshold}"
        has = f"the set after {of} has {there}" if there else f"no sample is in the set after {of}"
        raise BadRequest(f"prac: {size} samples were asked for; {has}")
    times = np.where(cet, forgotten[:, at], 0)
    group = np.select([cet & cep, cet, cep], [0, 1, 2], 3)
    return np.lexsort((-times, group))[:size]


def _round(asked: int | None, rounds: int) -> int:
    at = rounds - 1 if asked is None else asked
    if not 0 <= at < rounds:
        raise BadRequest(f"prac: round is {at}; the recording has the rounds 0 to {rounds - 1}")
    return at


def _hard(forgotten: NDArray[np.float32], threshold: int) -> Yes:
    """Return which samples were forgotten more than `threshold` times.

    Below −1 a count says that it is at most −1 minus it.
    """
    if threshold < 0:
        raise BadRequest(f"prac: threshold is {threshold}; it is at least 0")
    known = -1 - int(forgotten.min(initial=-1))
    if known > threshold:
        hint = f"give threshold={known} or more" if known < 2**15 - 1 else "give parts=cep"
        raise BadRequest(
            f"prac: the arm wrote down no counts above a threshold of {threshold}: {hint}"
        )
    return forgotten > threshold


def _changed(changed: NDArray[np.float32]) -> Yes:
    if (changed < 0).any():
        raise BadRequest("prac: the arm compared no predictions: give parts=cet")
    return changed > 0
