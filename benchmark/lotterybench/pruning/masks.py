"""Masks: which weights of a network are kept, by the names of its parameters."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.storage import write_whole


@dataclass(frozen=True, eq=False)
class Masks:
    """For each prunable tensor, in the network's order, which weights are kept.

    `kept` holds bool tensors on the CPU by the names of the parameters, in their shapes. Raises
    `BadRequest` for tensors of another type.
    """

    kept: dict[str, Tensor]

    def __post_init__(self) -> None:
        for name, mask in self.kept.items():
            if mask.dtype != torch.bool:
                raise BadRequest(f"the mask of {name} is {mask.dtype}; masks are torch.bool")
        here = {name: mask.detach().cpu().contiguous() for name, mask in self.kept.items()}
        object.__setattr__(self, "kept", here)

    @classmethod
    def dense(cls, weights: Mapping[str, Tensor]) -> Masks:
        """Return masks that keep every one of these weights."""
        return cls({name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()})

    def __eq__(self, other: object) -> bool:
        """Say whether names (in any order), shapes and masks are the same."""
        return isinstance(other, Masks) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def total(self) -> int:
        """The number of prunable weights."""
        return sum(mask.numel() for mask in self.kept.values())

    @property
    def counts(self) -> dict[str, int]:
        """The number of weights kept in each tensor."""
        return {name: int(mask.sum()) for name, mask in self.kept.items()}

    @property
    def remaining(self) -> int:
        """The number of weights kept."""
        return sum(self.counts.values())

    @property
    def sparsity(self) -> float:
        """The part of the prunable weights that is pruned, from 0 to 1."""
        return 1 - self.remaining / self.total

    @property
    def densities(self) -> dict[str, float]:
        """The part of each tensor that is kept, from 0 to 1."""
        return {name: count / self.kept[name].numel() for name, count in self.counts.items()}

    @property
    def digest(self) -> str:
        """The sha256 of names, shapes and bits, in the order of the names."""
        names = sorted(self.kept)
        shapes = [[name, list(self.kept[name].shape)] for name in names]
        found = hashlib.sha256(json.dumps(shapes, separators=(",", ":")).encode())
        packed = self.packed()
        for name in names:
            found.update(packed[name].numpy().tobytes())
        return found.hexdigest()

    def __and__(self, other: Masks) -> Masks:
        """Return masks of what both keep."""
        self._check_same(other)
        return Masks({name: mask & other.kept[name] for name, mask in self.kept.items()})

    def __or__(self, other: Masks) -> Masks:
        """Return masks of what either keeps."""
        self._check_same(other)
        return Masks({name: mask | other.kept[name] for name, mask in self.kept.items()})

    def check(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise `BadRequest` unless each mask has a tensor of its name and shape among these."""
        for name, mask in self.kept.items():
            if name not in tensors:
                raise BadRequest(f"there is a mask for {name}, and no tensor of that name")
            if tensors[name].shape != mask.shape:
                found, wanted = tuple(tensors[name].shape), tuple(mask.shape)
                raise BadRequest(f"{name} has the shape {found}, its mask {wanted}")

    def _check_same(self, other: Masks) -> None:
        self.check(other.kept)
        other.check(self.kept)

    @torch.no_grad()
    def apply(self, tensors: Mapping[str, Tensor]) -> None:
        """Set pruned weights to 0 in place; `tensors` may hold others too, which stay.

        Such tensors are `dict(module.named_parameters())`, or a state.
        """
        self.check(tensors)
        for name, mask in self.kept.items():
            tensors[name].masked_fill_(~mask.to(tensors[name].device), 0)  # NaN · 0 would be NaN

    def packed(self) -> dict[str, Tensor]:
        """Return the bits as uint8, eight a byte, the first in the highest bit."""
        bits = {name: mask.numpy().reshape(-1) for name, mask in self.kept.items()}
        return {name: torch.from_numpy(np.packbits(of)) for name, of in bits.items()}

    def about(self) -> dict[str, Any]:
        """Return what `unpacked` needs beside the bits, as JSON."""
        shapes = [[name, list(mask.shape)] for name, mask in self.kept.items()]
        return {"shapes": shapes, "digest": self.digest}

    def save(self, path: Path) -> None:
        """Write the masks as a safetensors file, whole; equal masks give equal bytes."""
        write_whole(path, save(self.packed(), {"masks": json.dumps(self.about())}))


def load(path: Path) -> Masks:
    """Return the masks that `Masks.save` wrote; raise `BadRequest` for any other file."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("masks", "null"))
            bits = {name: file.get_tensor(name) for name in file.keys()}
        return unpacked(about, bits)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"{path} is no file of masks: {error}") from None


def unpacked(about: Any, bits: Mapping[str, Tensor]) -> Masks:
    """Return masks from `Masks.about` and `Masks.packed`; raise `ValueError` where these differ."""
    if not isinstance(about, dict):
        raise ValueError("it does not say so")
    masks = Masks({name: _unpacked(bits[name], shape) for name, shape in about["shapes"]})
    if set(bits) != set(masks.kept) or masks.digest != about["digest"]:
        raise ValueError("its digest is another")
    return masks


def unpacked_like(masks: Masks, bits: Mapping[str, Tensor]) -> Masks:
    """Return masks from `Masks.packed`, of the same tensors as those of `masks`."""
    return Masks(
        {name: _unpacked(bits[name], list(mask.shape)) for name, mask in masks.kept.items()}
    )


def _unpacked(packed: Tensor, shape: list[int]) -> Tensor:
    count = math.prod(shape)
    if min(shape, default=1) < 0 or packed.dtype != torch.uint8 or packed.ndim != 1:
        raise ValueError("bits are not in uint8")
    if len(packed) != (count + 7) // 8:  # numpy would add zeros, as many as the shape says
        raise ValueError(f"{len(packed)} bytes are not {count} bits")
    bits = np.unpackbits(packed.numpy(), count=count)
    return torch.from_numpy(bits.astype(bool)).reshape(shape)
