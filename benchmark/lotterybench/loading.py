"""Subsets as `datasets.Dataset`s, made of the base's own images."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetInfo, Features, Image, List, NamedSplit, Value
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.manifests import find_base, load_drawn, load_keyring
from lotterybench.records import Base, Split, Subset
from lotterybench.shards.files import Files, image_files
from lotterybench.shards.samples import Rows, samples_of
from lotterybench.stream_targets import Half, targets_for

BLOCK = 1000  # samples of a record batch


def load_subset(
    ref: str | Path,
    split: Split = "train",
    *,
    epoch: int | None = None,
    targets: str | Path | None = None,
) -> Dataset:
    """Return a split of a subset, in the manifest's order, with images decoded when they are read.

    Columns: `image`, `label` (of a class list counted from 0; `base_label` is the base's) and
    `key`, 16 hex digits. Of a stream, the training split is what `epoch` draws, 0 unless given;
    `targets`, a prior or the `.npy` file of its targets, adds the column `target`, float16 (d,),
    if they are those that the manifest names (protocol §10). The files lie in memory, undecoded.

    Raises `BadRequest` for an epoch or targets that the subset or split does not have, and other
    targets than it names; `BadRecord` for a manifest that does not hold; `BadData` if the base's
    images are not at hand.
    """
    subset, positions = _drawn(ref, split, epoch)
    if split == "test" and targets is not None:
        raise BadRequest(f"{subset.ref}: targets are of training images alone; leave them out")
    base, _ = find_base(subset.base)
    keyring = load_keyring(base.id)
    values = None if targets is None else targets_for(subset, str(targets))
    rows, labels = samples_of(subset, positions, base, keyring, split)
    _, files = image_files(base, split)
    columns: dict[str, NDArray[Any]] = {
        "label": labels,
        "base_label": keyring.labels[split][rows].astype(np.int64),
        "key": keyring.keys[split][rows],
    }
    features = _features(subset, base, values)
    batches = _batches(rows, columns, files, values, features)
    table = pa.Table.from_batches(batches, features.arrow_schema)
    return Dataset(
        table,
        info=DatasetInfo(features=features, license=base.licence, citation=base.citation),
        split=NamedSplit(split),
        fingerprint=_fingerprint(subset, split, epoch, values is not None),
    )


def _drawn(ref: str | Path, split: str, epoch: int | None) -> tuple[Subset, Rows | None]:
    """Return a manifest and the positions to train on; refuse what the split does not have."""
    if split not in get_args(Split):
        raise BadRequest(f"there is no split {split!r}; there are {', '.join(get_args(Split))}")
    subset, positions = load_drawn(ref, epoch)
    if split == "test" and epoch is not None:
        raise BadRequest(f"{subset.ref}: the test split is the same in every epoch")
    if split == "train" and subset.stream is not None and epoch is None:
        warnings.warn(
            f"{subset.ref} is a stream, redrawn every epoch: this is epoch 0; say epoch=0 to ask "
            "for it (protocol §10)",
            stacklevel=3,
        )
    return subset, positions


def _features(subset: Subset, base: Base, targets: Half | None) -> Features:
    found: dict[str, Any] = {"image": Image()}
    found["label"] = ClassLabel(names=subset.classes or base.class_names)
    if subset.classes is not None:
        found["base_label"] = ClassLabel(names=base.class_names)
    found["key"] = Value("string")
    if targets is not None:
        found["target"] = List(Value("float16"), length=targets.shape[1])
    return Features(found)


def _batches(
    rows: Rows, columns: dict[str, NDArray[Any]], files: Files, targets: Half | None,
    features: Features,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Yield the samples in order, so that no more than a batch of them is held twice."""
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        made = {name: pa.array(column[part]) for name, column in columns.items()}
        made["key"] = pa.array([f"{key:016x}" for key in columns["key"][part].tolist()])
        made["image"] = _images([files(row) for row in rows[part].tolist()])
        if targets is not None:
            flat = np.ascontiguousarray(targets[rows[part]]).ravel()
            made["target"] = pa.FixedSizeListArray.from_arrays(flat, targets.shape[1])
        arrays = [made[name] for name in features]
        yield pa.RecordBatch.from_arrays(arrays, schema=features.arrow_schema)


def _images(files: Sequence[bytes]) -> pa.StructArray:
    paths = pa.nulls(len(files), pa.string())
    return pa.StructArray.from_arrays([pa.array(files, pa.binary()), paths], ["bytes", "path"])


def _fingerprint(subset: Subset, split: str, epoch: int | None, targets: bool) -> str:
    """Return what `datasets` names cached results by: equal content, equal name."""
    told = f"{subset.digest}|{split}|{epoch or 0}|{targets}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]
