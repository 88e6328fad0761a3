"""PrAC sets: samples that are hard to memorise (CET) or that pruning makes forgotten (CEP)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from torch import Tensor

from lotterybench.storage import write_whole

Rows = NDArray[np.int64]


class PracSet(NamedTuple):
    """A set: positions ascending int64 (n,), which of the two kinds each is, and its forgetting.

    `forgotten` int16 is how often in the round's training, 32,767 if it was never right, −1 if
    it was not trained on.
    """

    positions: Rows
    cet: NDArray[np.bool_]
    cep: NDArray[np.bool_]
    forgotten: NDArray[np.int16]


def times_forgotten(right: NDArray[np.bool_]) -> float:
    """Return how often a sample that was right (T,) in each epoch is forgotten; inf if never right.

    The sequence 0, 1, 1, 0, 1, 0 is forgotten twice (Toneva et al. 2019).
    """
    right = np.asarray(right, bool)
    return float((right[:-1] & ~right[1:]).sum()) if right.any() else float("inf")


def hard(counts: Tensor, rows: Tensor, threshold: int) -> Tensor:
    """Return CET: of the rows trained on, those forgotten more than `threshold` times.

    `counts` int16 (N,) are `Memory.counts`. Those never right count as forgotten more often than
    any.
    """
    return rows[counts[rows] > threshold]


def changed(dense: Tensor, sparse: Tensor, rows: Tensor) -> Tensor:
    """Return CEP: the rows whose predicted class is another after pruning, right or wrong."""
    return rows[dense != sparse]


def union(cet: Tensor, cep: Tensor, counts: Tensor) -> PracSet:
    """Return CET ∪ CEP with the flags of each sample."""
    positions = torch.unique(torch.cat([cet, cep]))
    return PracSet(
        positions.cpu().numpy(),
        torch.isin(positions, cet).cpu().numpy(),
        torch.isin(positions, cep).cpu().numpy(),
        counts[positions].cpu().numpy(),
    )


def save_set(found: PracSet, path: Path) -> None:
    """Write a set as a safetensors file, whole."""
    write_whole(path, save(found._asdict()))


def load_set(path: Path) -> PracSet:
    """Return the set that `save_set` wrote."""
    return PracSet(**load_file(path))
