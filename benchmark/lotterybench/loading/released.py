"""A subset made of a release's tars: as a table, or read one tar after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, IterableDataset, NamedSplit

from lotterybench.errors import BadRequest, BadShards
from lotterybench.hub.download import Part, Released, find_released
from lotterybench.hub.revisions import resolve
from lotterybench.hub.snapshot import Snapshot
from lotterybench.keyrings import Keyring
from lotterybench.loading.columns import batch_of, features_of, fingerprint, info_of
from lotterybench.records import Split
from lotterybench.shards.index import Shard
from lotterybench.shards.members import npy
from lotterybench.stream_targets import Half


def from_release(
    ref: str, split: Split, epoch: int | None, *, repo: str, revision: str | None, streaming: bool
) -> tuple[Dataset | IterableDataset, list[str]]:
    """Return a split of a release's subset, and what is to be said of it."""
    found = find_released(ref, resolve(repo, revision))
    notes = found.snapshot.notes
    drawn = found.subset.stream is not None and split == "train"
    if epoch is not None and (epoch != 0 or not drawn):
        raise BadRequest(
            f"{found.label}: a release holds epoch 0 of streams, and of other subsets the only "
            "one; leave epoch out, or leave revision and repo out to draw it from the base's images"
        )
    if drawn and epoch is None:
        notes.append(
            f"{found.subset.ref} is a stream, redrawn every epoch: this is epoch 0; say epoch=0 to "
            "ask for it (protocol §10)"
        )
    return (_stream if streaming else _table)(found, split), notes


def _table(found: Released, split: Split) -> Dataset:
    """Return all samples as a dataset; the tars' files lie in memory, undecoded."""
    features, dimension = _features(found, split)
    found.fetch(split)
    batches = [
        batch_of(
            features, found.keyring, split, tar.positions, tar.labels, tar.images,
            None if dimension is None else _values(tar.targets, dimension, found.label),
        )
        for tar in found.tars(split)
    ]  # fmt: skip
    return Dataset(
        pa.Table.from_batches(batches, features.arrow_schema),
        info=info_of(features, found.base),
        split=NamedSplit(split),
        fingerprint=fingerprint(*(shard.sha256 for shard in found.config.shards[split])),
    )


def _stream(found: Released, split: Split) -> IterableDataset:
    """Return a dataset that reads a tar when its samples are asked for."""
    features, dimension = _features(found, split)
    reader = Reader(found.snapshot, found.part(split), features, found.keyring, split, dimension)
    shards = list(found.config.shards[split])
    data = IterableDataset.from_generator(
        reader, features=features, gen_kwargs={"shards": shards}, split=NamedSplit(split)
    )
    return data


@dataclass(frozen=True)
class Reader:
    """Yields the samples of tars, each checked before its first sample is handed out.

    A tar that lies in the cache is read there, another from the Hub without keeping it.
    """

    snapshot: Snapshot
    part: Part
    features: Features
    keyring: Keyring
    split: Split
    dimension: int | None

    def __call__(self, shards: Sequence[Shard]) -> Iterator[dict[str, Any]]:
        """Yield the samples of these tars in order; raise `BadShards` for one that is not whole."""
        label = self.snapshot.revision.label
        for shard in shards:
            content = self.snapshot.peek(shard.path, shard.sha256, shard.bytes)
            tar = self.part.samples(content, shard, label)
            aims = None if self.dimension is None else _values(tar.targets, self.dimension, label)
            keys = self.keyring.keys[self.split][tar.positions].tolist()
            columns: dict[str, list[Any]] = {
                "image": [{"bytes": file, "path": None} for file in tar.images],
                "label": tar.labels.tolist(),
                "base_label": self.keyring.labels[self.split][tar.positions].tolist(),
                "key": [f"{key:016x}" for key in keys],
                "target": [] if aims is None else list(aims),
            }
            names = list(self.features)
            for values in zip(*(columns[name] for name in names), strict=True):
                yield dict(zip(names, values, strict=True))


def _features(found: Released, split: Split) -> tuple[Features, int | None]:
    stream = found.subset.stream
    dimension = None
    if split == "train" and stream is not None and stream.targets is not None:
        dimension = stream.targets.dimension
    return features_of(found.subset, found.base, dimension), dimension


def _values(files: Sequence[bytes], dimension: int, label: str) -> Half:
    """Return targets, float16 (n, d), from their `.npy` files, which all have one header."""
    empty = npy(np.zeros(dimension, np.float16))
    head, size = empty[: len(empty) - 2 * dimension], len(empty)
    if any(len(file) != size or not file.startswith(head) for file in files):
        raise BadShards(f"{label}: a target is not float16 ({dimension},)")
    body = b"".join(file[len(head) :] for file in files)
    return np.frombuffer(body, "<f2").reshape(len(files), dimension)
