"""Masks made of another by chance: its complement, other weights, some flipped or swapped.

The counterpart that keeps each tensor's count is `permuted` of `controls`.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from lotterybench.errors import BadRequest
from lotterybench.pruning.criteria import random
from lotterybench.pruning.keeping import keep
from lotterybench.pruning.masks import Masks


def inverted(masks: Masks) -> Masks:
    """Return masks that keep exactly what these prune."""
    return Masks({name: ~mask for name, mask in masks.kept.items()})


def complement(masks: Masks, generator: Generator) -> Masks:
    """Return masks of as many weights, none of which these keep.

    Where more are pruned than kept, they are drawn at random. Raises `BadRequest` where fewer are.
    """
    others = inverted(masks)
    if others.remaining < masks.remaining:
        raise BadRequest(
            f"{masks.remaining} of {masks.total} weights are kept; their complement has only "
            f"{others.remaining}"
        )
    scores = random(masks.kept, generator)
    return keep(scores, masks.remaining / masks.total, within=others)


def random_global(masks: Masks, generator: Generator) -> Masks:
    """Return masks of as many weights of all tensors together, drawn at random."""
    return keep(random(masks.kept, generator), masks.remaining / masks.total)


def flip(masks: Masks, part: float, generator: Generator) -> Masks:
    """Flip `part` of the kept and `part` of the pruned weights (Chen et al. 2021).

    Numbers are rounded to whole weights. A density d becomes d + part · (1 − 2d): of sparse masks
    it grows.
    """
    kept, pruned = _counts(masks, part)
    return _exchanged(masks, round(part * kept), round(part * pruned), generator)


def swap(masks: Masks, part: float, generator: Generator) -> Masks:
    """Exchange as many kept for pruned weights, `part` of the rarer kind: the density stays."""
    count = round(part * min(_counts(masks, part)))
    return _exchanged(masks, count, count, generator)


def _counts(masks: Masks, part: float) -> tuple[int, int]:
    """Return how many weights are kept and how many pruned; refuse a part that is none."""
    if not 0 <= part <= 1:
        raise BadRequest(f"a part of {part:g} is not in [0, 1]")
    return masks.remaining, masks.total - masks.remaining


def _exchanged(masks: Masks, out: int, into: int, generator: Generator) -> Masks:
    """Prune `out` of the kept weights and keep `into` of the pruned ones, at random."""
    flat = torch.cat([mask.reshape(-1) for mask in masks.kept.values()])
    changed = flat.clone()
    changed[_some(flat, out, generator)] = False
    changed[_some(~flat, into, generator)] = True
    parts = torch.split(changed, [mask.numel() for mask in masks.kept.values()])
    return Masks(
        {
            name: of.reshape(mask.shape)
            for (name, mask), of in zip(masks.kept.items(), parts, strict=True)
        }
    )


def _some(where: Tensor, count: int, generator: Generator) -> Tensor:
    """Return `count` of the places at which a flat mask is true."""
    places = where.nonzero().squeeze(1)
    return places[torch.randperm(len(places), generator=generator)[:count]]
