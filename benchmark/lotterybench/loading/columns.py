"""The columns of a loaded subset: their types, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, DatasetInfo, Features, Image, List, Value
from numpy.typing import NDArray

from lotterybench.keyrings import Keyring
from lotterybench.records import Base, Split, Subset

Rows = NDArray[np.int64]


def features_of(subset: Subset, base: Base, dimension: int | None) -> Features:
    """Return the columns and their types; `dimension` is that of targets, None without them."""
    found: dict[str, Any] = {"image": Image()}
    found["label"] = ClassLabel(names=subset.classes or base.class_names)
    if subset.classes is not None:
        found["base_label"] = ClassLabel(names=base.class_names)
    found["key"] = Value("string")
    if dimension is not None:
        found["target"] = List(Value("float16"), length=dimension)
    return Features(found)


def info_of(features: Features, base: Base) -> DatasetInfo:
    """Return what a dataset says of itself."""
    return DatasetInfo(features=features, license=base.licence, citation=base.citation)


def batch_of(
    features: Features, keyring: Keyring, split: Split, rows: Rows, labels: Rows,
    files: Sequence[bytes], targets: NDArray[np.float16] | None,
) -> pa.RecordBatch:  # fmt: skip
    """Return samples as a batch: rows are positions in the split, targets float16 (n, d)."""
    keys = keyring.keys[split][rows].tolist()
    paths = pa.nulls(len(files), pa.string())
    made = {
        "image": pa.StructArray.from_arrays(
            [pa.array(files, pa.binary()), paths], ["bytes", "path"]
        ),
        "label": pa.array(labels),
        "base_label": pa.array(keyring.labels[split][rows].astype(np.int64)),
        "key": pa.array([f"{key:016x}" for key in keys], pa.string()),
    }
    if targets is not None:
        flat = np.ascontiguousarray(targets).ravel()
        made["target"] = pa.FixedSizeListArray.from_arrays(flat, targets.shape[1])
    return pa.RecordBatch.from_arrays(
        [made[name] for name in features], schema=features.arrow_schema
    )


def fingerprint(*told: object) -> str:
    """Return what `datasets` names cached results by: equal content, equal name."""
    return hashlib.sha256("|".join(map(str, told)).encode()).hexdigest()[:16]
