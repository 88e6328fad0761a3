"""Parts of bases that share no image, by their keys (protocol §10)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.kinds.data import tensors
from lotterybench.manifests import find_base, load_keyring
from lotterybench.methods.base.shape import stream
from lotterybench.records import Split

Positions = NDArray[np.int64]


def parts_of(base: str, shares: dict[str, float], others: Sequence[str]) -> dict[str, Positions]:
    """Return positions in a base's training split for each part, ascending.

    Copies of an image are in one part; images that the test split or any of the `others` has are
    in none. Raises `BadRequest` for a part that would have fewer than two images.
    """
    ring = load_keyring(base)
    keys = ring.keys["train"]
    elsewhere = [ring.keys["test"]]
    for other in others:
        elsewhere += load_keyring(other).keys.values()
    free = np.unique(keys[~np.isin(keys, np.concatenate(elsewhere))])
    seed = stream(find_base(base)[0].digest, "pretrained|parts")
    free = np.random.default_rng(seed).permutation(free)
    ends = np.round(np.cumsum(list(shares.values())) * len(free)).astype(int)
    found = {
        name: np.flatnonzero(np.isin(keys, some)).astype(np.int64)
        for name, some in zip(shares, np.split(free, ends)[: len(shares)], strict=True)
    }
    for name, positions in found.items():
        if len(positions) < 2:
            raise BadRequest(f"the part {name} of {base} has {len(positions)} images; take more")
    return found


@lru_cache(maxsize=4)
def images_of(base: str, split: Split, side: int | None, device: str) -> tuple[Tensor, Tensor]:
    """Return a split's images uint8 (N, C, side, side) and labels int64 (N,).

    Larger images are reduced by area means, smaller ones grown by repeating pixels. Raises
    `BadRequest` for a side that is no whole number of times the base's own.
    """
    own = find_base(base)[0].size[0]
    if side is None or side <= own:
        return tensors(base, split, None if side == own else side, device)
    if side % own:
        raise BadRequest(f"{base}'s images of {own} pixels cannot be grown to {side}")
    images, labels = tensors(base, split, None, device)
    times = side // own
    grown = images.repeat_interleave(times, 2).repeat_interleave(times, 3)
    return grown.contiguous(), labels


def everything(labels: Tensor) -> Tensor:
    """Return all rows: int64 (N,)."""
    return torch.arange(len(labels), device=labels.device)
