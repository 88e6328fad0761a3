"""ReLA's targets: a prior's features of training images, reduced and whitened (protocol §10).

The prior looks at each image once. Its features pass through a temporary file, so that neither they
nor the targets need to fit into memory, and the targets are kept in a cache that knows what they
were made of.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.methods.base.priors import Prior, at_once
from lotterybench.methods.base.target_digest import BLOCK, Digest, Half, digest_of_targets
from lotterybench.methods.base.whitening import Moments, Whitening
from lotterybench.progress import bar
from lotterybench.records import canonical_json, sha256_of
from lotterybench.storage import space_for, staged, write_whole

EPSILON = 1e-8  # beside a variance; the authors' code has none and divides by zero
FORM = 1  # of what is in the cache; another form is another key
HELD = 2**26  # bytes of features that are held in memory


@dataclass(frozen=True)
class Targets:
    """The targets of a base's images, by row: `values` float16 (N, d), zeros for rows not asked.

    `digest` is the sha256 of the values; `key` that of what they were made of. `seconds` is what
    making them took, also where they came from the cache.
    """

    values: Tensor
    digest: str
    key: str
    seconds: float


def targets_of(
    prior: Prior,
    images: Tensor,
    rows: Tensor,
    dimension: int,
    base_digest: str,
    cache: Path | None = None,
    *,
    epsilon: float = EPSILON,
    batch: int | None = None,
) -> Targets:
    """Return the whitened features of the images to train on, at most `dimension` of them.

    `images` are uint8 (N, C, H, W), `rows` int64 (n,) those to train on: the whitening is fitted on
    them alone, and only they get targets. d = min(`dimension`, p); over the rows each target has
    mean 0 and variance 1 and no two are correlated. `cache` is a folder, None for none; what is in
    it is used if it was made of the same images (`base_digest`, shape and rows), network, weights,
    preprocessing, d and ε, and is undamaged. Raises `BadRequest` for rows that are not there or
    there twice, images that the prior cannot be shown, and features that are not finite.
    """
    if dimension < 1:
        raise BadRequest(f"targets have 1 dimension or more; {dimension} were asked for")
    ordered = _sorted(images, rows)
    size = min(dimension, prior.width)
    key = sha256_of(
        {
            "form": FORM, "base": base_digest, "shape": list(images.shape),
            "rows": hashlib.sha256(ordered.astype("<i8").tobytes()).hexdigest(),
            # two forms of CLIP have the same weights and other activations
            "network": sha256_of(repr(prior.encoder)),
            "weights": prior.weights, "preprocessing": prior.preprocessing,
            "dimension": size, "epsilon": epsilon,
        }
    )  # fmt: skip
    shape = (len(images), size)
    kept = _read(cache, key, shape) if cache is not None else None
    if kept is not None:
        return kept
    began = time.perf_counter()
    folder = Path(tempfile.gettempdir()) if cache is None else cache
    folder.mkdir(parents=True, exist_ok=True)
    with space_for(folder), tempfile.SpooledTemporaryFile(HELD, dir=str(folder)) as file:
        moments = _looked(prior, images, ordered, file, batch)
        whitening = Whitening.of(moments, size, epsilon)
        blocks = _blocks(file, prior.width, ordered, whitening, shape)
        if cache is not None:
            return _write(cache, key, shape, blocks, began)
        values = np.concatenate(list(blocks))
    return Targets(
        torch.from_numpy(values), digest_of_targets(values), key, time.perf_counter() - began
    )


def _sorted(images: Tensor, rows: Tensor) -> NDArray[np.int64]:
    """Return the rows in order, on the CPU; raise `BadRequest` if they are none of the images'."""
    if rows.dtype != torch.int64 or rows.ndim != 1:
        raise BadRequest(f"rows are int64 (n,), these are {rows.dtype} {tuple(rows.shape)}")
    found: NDArray[np.int64] = np.unique(rows.cpu().numpy())
    if len(found) < len(rows):
        raise BadRequest(f"{len(rows) - len(found)} of the {len(rows)} rows occur before")
    if len(found) < 2:
        raise BadRequest(f"whitening is fitted on 2 images or more; {len(found)} were given")
    if not 0 <= int(found[0]) <= int(found[-1]) < len(images):
        raise BadRequest(f"rows go from {found[0]} to {found[-1]}; there are {len(images)} images")
    return found


def _looked(
    prior: Prior, images: Tensor, rows: NDArray[np.int64], file: IO[bytes], batch: int | None
) -> Moments:
    """Write the features of the rows to a file, in order, and return their moments."""
    moments = Moments()
    parts = torch.split(torch.from_numpy(rows), batch or at_once(prior))
    for part in bar(parts, len(parts), f"targets of {prior.name}"):
        found = prior(images[part.to(images.device)])
        moments.add(found)
        file.write(found.cpu().contiguous().numpy().tobytes())
    file.seek(0)
    return moments


def _blocks(
    file: IO[bytes], width: int, rows: NDArray[np.int64], whitening: Whitening,
    shape: tuple[int, int],
) -> Iterator[Half]:  # fmt: skip
    """Yield the targets of all rows of the base in order, zeros for those without features."""
    for start in range(0, shape[0], BLOCK):
        block = np.zeros((min(BLOCK, shape[0] - start), shape[1]), np.float16)
        first, last = np.searchsorted(rows, (start, start + BLOCK))
        if last > first:
            content = bytearray(file.read(4 * width * int(last - first)))
            found = torch.frombuffer(content, dtype=torch.float32).view(-1, width)
            made = whitening(found.to(whitening.mean.device))
            block[rows[first:last] - start] = made.half().cpu().numpy()
        yield block


def _write(
    cache: Path, key: str, shape: tuple[int, int], blocks: Iterable[Half], began: float
) -> Targets:
    """Write targets and, when they are whole, their digest and seconds; return them mapped."""
    file, about = _files(cache, key)
    digest = Digest(shape)
    with staged(file) as draft, draft.open("wb") as out:
        form = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, form)
        for block in blocks:
            out.write(digest.add(block))
    found = Targets(_mapped(file, shape), digest.hex(), key, time.perf_counter() - began)
    write_whole(about, canonical_json({"digest": found.digest, "seconds": found.seconds}))
    return found


def _read(cache: Path, key: str, shape: tuple[int, int]) -> Targets | None:
    """Return cached targets if they are there, whole and undamaged."""
    file, about = _files(cache, key)
    try:
        told: dict[str, Any] = json.loads(about.read_bytes())
        values = _mapped(file, shape)
        if digest_of_targets(values.numpy()) != told["digest"]:
            return None
        return Targets(values, told["digest"], key, float(told["seconds"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError):  # missing, torn or crafted
        return None


def _mapped(file: Path, shape: tuple[int, int]) -> Tensor:
    """Map a file of targets into memory; what is changed there changes no file."""
    values = np.load(file, mmap_mode="c")
    if values.shape != shape or values.dtype != np.float16:
        raise ValueError(f"{file} holds other targets")
    return torch.from_numpy(values)


def _files(cache: Path, key: str) -> tuple[Path, Path]:
    return cache / f"{key[:32]}.npy", cache / f"{key[:32]}.json"
