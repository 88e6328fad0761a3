"""Keep exactly so many weights: those of the highest scores, over all tensors or in each."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.pruning.masks import Masks

Scores = dict[str, Tensor]


def keep(scores: Scores, density: float, *, within: Masks | None = None) -> Masks:
    """Keep the best of all weights: exactly round(density · total) of them.

    `within` are masks to prune further; `density` is of all weights all the same. Ties go to the
    earlier tensor, then to the earlier position. Raises `BadRequest` for NaN, a density that is
    not in [0, 1] and one above what is left.
    """
    within = _checked(scores, within)
    count = round(checked_density(density) * within.total)
    return _best(scores, count, within)


def keep_in_each(
    scores: Scores, densities: float | Mapping[str, float], *, within: Masks | None = None
) -> Masks:
    """Keep the best of each tensor at one density for all, or at each one's own.

    Exactly round(Σ density · size) weights are kept; each tensor has its share rounded down, or up
    where its remainder is among the largest (of tensors that have some left). Ties and errors are
    as in `keep`.
    """
    within = _checked(scores, within)
    if not isinstance(densities, Mapping):
        densities = dict.fromkeys(scores, densities)
    if set(densities) != set(scores):
        raise BadRequest(f"densities are of {sorted(densities)}, scores of {sorted(scores)}")
    kept: dict[str, Tensor] = {}
    for name, count in _apportioned(densities, within).items():
        kept |= _best({name: scores[name]}, count, Masks({name: within.kept[name]})).kept
    return Masks(kept)


def _apportioned(densities: Mapping[str, float], within: Masks) -> dict[str, int]:
    """Return whole counts by largest remainder, none above what its tensor has left."""
    left = within.counts
    shares = {name: checked_density(densities[name]) * within.kept[name].numel() for name in left}
    counts = {name: math.floor(share) for name, share in shares.items()}
    for name, count in counts.items():
        if count > left[name]:
            raise BadRequest(f"{count} weights of {name} are to be kept, but {left[name]} are left")
    for _ in range(round(math.fsum(shares.values())) - sum(counts.values())):
        open_to = [name for name in left if counts[name] < left[name]]
        if not open_to:
            raise BadRequest("more weights are to be kept than are left")
        # ties: the first of them
        counts[max(open_to, key=lambda name: shares[name] - counts[name])] += 1
    return counts


def _best(scores: Scores, count: int, within: Masks) -> Masks:
    places = torch.cat([mask.reshape(-1) for mask in within.kept.values()]).nonzero().squeeze(1)
    if count > len(places):
        raise BadRequest(f"{count} weights are to be kept, but {len(places)} are left")
    ranked = torch.cat([scores[name].detach().reshape(-1).double().cpu() for name in within.kept])
    kept = torch.zeros(len(ranked), dtype=torch.bool)
    kept[places[_highest(ranked[places], count)]] = True
    parts = torch.split(kept, [mask.numel() for mask in within.kept.values()])
    return Masks(
        {
            name: part.reshape(mask.shape)
            for (name, mask), part in zip(within.kept.items(), parts, strict=True)
        }
    )


def _highest(values: Tensor, count: int) -> Tensor:
    """Say which of the values (n,) are the `count` highest, the earlier of equal ones.

    By the count-th value, which takes n operations: a sort of 15 million takes 2 seconds.
    """
    if count == 0:
        return torch.zeros(len(values), dtype=torch.bool)
    least = values.kthvalue(len(values) - count + 1).values
    chosen = values > least
    equal = (values == least).nonzero().squeeze(1)
    chosen[equal[: count - int(chosen.sum())]] = True
    return chosen


def _checked(scores: Scores, within: Masks | None) -> Masks:
    """Refuse NaN and masks of other tensors; return the masks in the order of the scores."""
    for name, score in scores.items():
        bad = int(score.isnan().sum())
        if bad:
            raise BadRequest(
                f"{bad} of {score.numel()} scores of {name} are NaN; they rank nothing"
            )
    if not scores:
        raise BadRequest("there are no scores, hence nothing to keep")
    dense = Masks.dense(scores)
    return dense if within is None else dense & within


def checked_density(density: float) -> float:
    """Return a density as it is; raise `BadRequest` unless it is in [0, 1]."""
    if not 0 <= density <= 1:
        raise BadRequest(f"a density of {density:g} is not in [0, 1]")
    return density
