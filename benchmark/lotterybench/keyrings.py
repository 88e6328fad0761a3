"""Keyrings: a base's samples named by their content, in the order that every manifest counts in.

A sample's full key is a sha256: of its pixels (mode, width, height, then the raw bytes) for a base
of kind `pixels`, of its encoded file for one of kind `encoded`. The canonical order of a split is
the ascending order of full keys; ties (exact duplicates) go by label, then by occurrence. The
keyring on disk keeps the first 8 bytes of each key and the label.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lotterybench.errors import BadData, BadRecord
from lotterybench.records import SPLITS, Split
from lotterybench.storage import write_whole

Keys = NDArray[np.uint64]
Labels = NDArray[np.uint16]
NAMED = 5  # how many differing samples an error message names; it says how many more there are


@dataclass(frozen=True)
class Keyring:
    """The short keys (uint64) and labels (uint16) of each split, in canonical order."""

    keys: dict[Split, Keys]
    labels: dict[Split, Labels]

    def digest(self) -> str:
        """Return the sha256 over splits, short keys and labels, all big-endian."""
        digest = hashlib.sha256()
        for split in SPLITS:
            digest.update(f"{split}\0{len(self.keys[split])}\0".encode())
            digest.update(self.keys[split].astype(">u8").tobytes())
            digest.update(self.labels[split].astype(">u2").tobytes())
        return digest.hexdigest()


def pixel_key(pixels: NDArray[np.uint8]) -> bytes:
    """Return the full key of an image: sha256 of `RGB<w>x<h>` or `L<w>x<h>`, then its bytes.

    `pixels` is uint8 (H, W, 3) or (H, W).
    """
    mode = "L" if pixels.ndim == 2 else "RGB"
    head = f"{mode}{pixels.shape[1]}x{pixels.shape[0]}\0".encode()
    return hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).digest()


def file_key(content: bytes) -> bytes:
    """Return the full key of an encoded file: the sha256 of its bytes."""
    return hashlib.sha256(content).digest()


def canonical_order(keys: Sequence[bytes], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows in canonical order: by full key, then label, then occurrence."""
    parts = _words(keys)
    return np.lexsort((labels, parts[:, 3], parts[:, 2], parts[:, 1], parts[:, 0]))


def short(keys: Sequence[bytes]) -> Keys:
    """Return the first 8 bytes of each full key as a big-endian number."""
    return np.ascontiguousarray(_words(keys)[:, 0])


def split_digest(keys: Sequence[bytes], labels: NDArray[np.int64]) -> str:
    """Return the sha256 over full keys and labels (uint16, big-endian) in canonical order."""
    order = canonical_order(keys, labels)
    digest = hashlib.sha256(b"".join(keys[row] for row in order))
    digest.update(labels[order].astype(">u2").tobytes())
    return digest.hexdigest()


def resolve(
    keyring: Keyring,
    split: Split,
    keys: Sequence[bytes],
    labels: NDArray[np.int64],
    names: Sequence[str],
    *,
    digest: str,
    where: str,
) -> NDArray[np.int64]:
    """Return, for each position of the keyring, the row of a copy that holds that sample.

    `keys`, `labels` and `names` describe the copy's rows in its own order; `digest` is the
    split's digest over full keys. Raises `BadData`, naming samples, if the copy is not the
    pinned one.
    """
    order = canonical_order(keys, labels)
    theirs, ours = short(keys)[order], keyring.keys[split]
    same = len(theirs) == len(ours) and bool((theirs == ours).all())
    if same and bool((labels[order] == keyring.labels[split]).all()):
        if split_digest(keys, labels) != digest:
            raise BadData(f"{where}: the keys of {split} agree in 8 bytes but not in full")
        return order
    raise BadData(
        f"{where} is not the pinned copy: {_difference(keyring, split, keys, labels, names)}"
    )


def _difference(
    keyring: Keyring,
    split: Split,
    keys: Sequence[bytes],
    labels: NDArray[np.int64],
    names: Sequence[str],
) -> str:
    """Name the rows whose content or label the keyring does not have, and what it misses."""
    known = Counter(keyring.keys[split].tolist())
    pairs = Counter(zip(keyring.keys[split].tolist(), keyring.labels[split].tolist(), strict=True))
    strange, relabelled = [], []
    for row, (key, label) in enumerate(zip(short(keys).tolist(), labels.tolist(), strict=True)):
        if known[key] == 0:
            strange.append(f"{split} row {row} ({names[row]}) has other content")
        elif pairs[key, label] == 0:
            relabelled.append(f"{split} row {row} ({names[row]}) has another label ({label})")
        known[key] -= 1
        pairs[key, label] -= 1
    missing = [
        f"keyring position {position} (key {key:016x})"
        for position, key in enumerate(keyring.keys[split].tolist())
        if known[key] > 0
    ]
    found = strange + relabelled
    parts = [_some(found)] if found else []
    if missing:
        parts.append(f"missing: {_some(missing)}")
    return "; ".join(parts)


def _some(items: list[str]) -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def save(keyring: Keyring, path: Path) -> None:
    """Write a keyring as Parquet; sorted keys are stored as differences, labels as a dictionary."""
    table = pa.table(
        {
            "split": pa.array(
                np.concatenate([np.full(len(keyring.keys[s]), s) for s in SPLITS]).tolist()
            ),
            "key": np.concatenate([keyring.keys[s] for s in SPLITS]).view(np.int64),
            "label": np.concatenate([keyring.labels[s] for s in SPLITS]),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        use_dictionary=["split", "label"],
        column_encoding={"key": "DELTA_BINARY_PACKED"},
        write_statistics=False,
        store_schema=False,
    )
    write_whole(path, buffer.getvalue())


def load(path: Path) -> Keyring:
    """Read a keyring; raise `BadRecord` if it is damaged or out of order."""
    try:
        table = pq.read_table(path)
        split = np.asarray(table["split"].to_pylist())
        key = table["key"].to_numpy().view(np.uint64)
        label = table["label"].to_numpy().astype(np.uint16)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise BadRecord(f"{path} cannot be read as a keyring: {error}") from None
    keyring = Keyring(
        {name: key[split == name] for name in SPLITS},
        {name: label[split == name] for name in SPLITS},
    )
    if any((keys[1:] < keys[:-1]).any() for keys in keyring.keys.values()):
        raise BadRecord(f"{path} is not in canonical order")
    return keyring


def _words(keys: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return full keys as (n, 4) numbers whose order is the order of the bytes."""
    words = np.frombuffer(b"".join(keys), dtype=">u8").reshape(-1, 4)
    return words.astype(np.uint64)
