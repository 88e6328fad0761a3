"""A subset made of the base's own images, in the manifest's order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, Features, NamedSplit

from lotterybench.errors import BadRequest
from lotterybench.keyrings import Keyring
from lotterybench.loading.columns import Rows, batch_of, features_of, fingerprint, info_of
from lotterybench.manifests import find_base, load_drawn, load_keyring
from lotterybench.records import Split
from lotterybench.shards.files import Files, image_files
from lotterybench.shards.samples import samples_of
from lotterybench.stream_targets import Half, targets_for

BLOCK = 1000  # samples of a record batch


def from_images(
    ref: str | Path, split: Split, epoch: int | None, targets: str | Path | None
) -> tuple[Dataset, list[str]]:
    """Return a split of a local manifest's subset, and what is to be said of it."""
    subset, positions = load_drawn(ref, epoch)
    notes = []
    if split == "test" and epoch is not None:
        raise BadRequest(f"{subset.ref}: the test split is the same in every epoch")
    if split == "train" and subset.stream is not None and epoch is None:
        notes.append(
            f"{subset.ref} is a stream, redrawn every epoch: this is epoch 0; say epoch=0 to ask "
            "for it (protocol §10)"
        )
    if split == "test" and targets is not None:
        raise BadRequest(f"{subset.ref}: targets are of training images alone; leave them out")
    base, _ = find_base(subset.base)
    keyring = load_keyring(base.id)
    values = None if targets is None else targets_for(subset, str(targets))
    rows, labels = samples_of(subset, positions, base, keyring, split)
    _, files = image_files(base, split)
    features = features_of(subset, base, None if values is None else values.shape[1])
    batches = _batches(features, keyring, split, rows, labels, files, values)
    data = Dataset(
        pa.Table.from_batches(batches, features.arrow_schema),
        info=info_of(features, base),
        split=NamedSplit(split),
        fingerprint=fingerprint(subset.digest, split, epoch or 0, values is not None),
    )
    return data, notes


def _batches(
    features: Features, keyring: Keyring, split: Split, rows: Rows, labels: Rows, files: Files,
    targets: Half | None,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Yield the samples in order, so that no more than a batch of them is held twice."""
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        found = [files(row) for row in rows[part].tolist()]
        aims = None if targets is None else targets[rows[part]]
        yield batch_of(features, keyring, split, rows[part], labels[part], found, aims)
