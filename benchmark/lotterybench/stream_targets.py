"""The targets of a stream: what a prior makes of a base's training images, and the file of them.

The file is a numpy array, float16 (N, d): a row for every training image, in the keyring's order.
A stream's manifest names its digest, so that a file, or a prior, can be told from any other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lotterybench.errors import BadRequest
from lotterybench.manifests import find_base
from lotterybench.methods.base.target_digest import BLOCK
from lotterybench.methods.base.target_digest import Half as Half
from lotterybench.methods.base.target_digest import digest_of_targets as digest_of_targets
from lotterybench.paths import targets_folder
from lotterybench.records import Base, PriorTargets, Subset
from lotterybench.sources import images
from lotterybench.storage import staged

if TYPE_CHECKING:
    import torch

    from lotterybench.methods.base.priors import Prior, Shape
    from lotterybench.methods.base.targets import Targets


def targets_by(base: str, prior: str, dimension: int | None = None) -> tuple[PriorTargets, Half]:
    """Return what a prior makes of a base's training images: the record, and float16 (N, d).

    `prior` is a name as `find_prior` takes it; d is `dimension`, by default and at most the prior's
    width. The whitening is fitted on all training images (protocol §10). Everything is computed on
    the CPU, and kept in the cache. Raises `BadRequest` for a dimension below 1 and as `find_prior`
    does.
    """
    record, _ = find_base(base)
    found = _prior(record, prior)
    made = _made(record, found, found.width if dimension is None else dimension)
    values: Half = made.values.numpy()
    told = PriorTargets(
        prior=found.name, weights=found.weights, dimension=values.shape[1], digest=made.digest
    )
    return told, values


def targets_for(subset: Subset, given: str) -> Half:
    """Return a stream's targets, float16 (N, d), from a prior or a `.npy` file of them.

    Raises `BadRequest` for a subset that names no targets, a prior of other weights than it names,
    and targets of another digest.
    """
    told = told_by(subset)
    record, _ = find_base(subset.base)
    if given.endswith(".npy"):
        values = read_targets(Path(given))
        digest = digest_of_targets(values)
    else:
        prior = _prior(record, given)
        if prior.weights != told.weights:
            raise BadRequest(
                f"{given} has other weights ({prior.weights[:12]}) than {told.prior}, the prior "
                f"that {subset.ref} names ({told.weights[:12]})"
            )
        made = _made(record, prior, told.dimension)
        values, digest = made.values.numpy(), made.digest
    if digest != told.digest:
        raise BadRequest(
            f"{given} gives other targets ({digest[:12]}) than {subset.ref} names "
            f"({told.digest[:12]}); another processor's last bits differ, too: give the .npy file "
            "that lies in the stream's shards"
        )
    return values


def told_by(subset: Subset) -> PriorTargets:
    """Return the targets that a manifest names; raise `BadRequest` if it names none."""
    if subset.stream is None or subset.stream.targets is None:
        raise BadRequest(
            f"{subset.ref} names no targets; a stream that does is built with "
            f"`lotterybench build {subset.base} redrawn --fraction … --prior …`"
        )
    return subset.stream.targets


def read_targets(file: Path) -> Half:
    """Map a file of targets into memory; raise `BadRequest` for any other file."""
    try:
        values = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # whatever a crafted header makes numpy raise
        lines = str(error).splitlines() or [type(error).__name__]
        raise BadRequest(f"{file} is no file of targets: {lines[0]}") from None
    if values.dtype != np.dtype("<f2") or values.ndim != 2:
        raise BadRequest(f"{file} holds {values.dtype} {values.shape}; targets are float16 (N, d)")
    return values


def write_targets(file: Path, values: Half) -> str:
    """Write a file of targets; equal values give equal bytes. Return the file's sha256."""
    with staged(file) as draft:
        with draft.open("wb") as out:
            np.lib.format.write_array(out, values, version=(1, 0))
        with draft.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()


def _prior(base: Base, name: str) -> Prior:
    from lotterybench.methods.base.priors import find_prior

    return find_prior(name, _shape(base))


def _shape(base: Base) -> Shape:
    return (len(base.mode), *base.size)  # RGB or L: a letter is a channel


def _made(base: Base, prior: Prior, dimension: int) -> Targets:
    """Return the targets of all training images, made or from the cache."""
    import torch

    from lotterybench.methods.base.targets import targets_of

    every = _images(base)
    rows = torch.arange(len(every))
    return targets_of(prior, every, rows, dimension, base.digest, targets_folder())


def _images(base: Base) -> torch.Tensor:
    """Return a base's training images, uint8 (N, C, H, W), copied a few at a time."""
    import torch

    pixels = images(base.id, "train").pixels
    whole = torch.empty((len(pixels), *_shape(base)), dtype=torch.uint8)
    for start in range(0, len(pixels), BLOCK):
        part = pixels[start : start + BLOCK].transpose(0, 3, 1, 2)
        whole[start : start + BLOCK] = torch.from_numpy(part.copy())
    return whole
