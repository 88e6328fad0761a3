"""A subset of a release: its records and tars, and whether they hold what the manifest says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRecord, BadRequest, BadShards
from lotterybench.hub.revisions import Revision
from lotterybench.hub.snapshot import Snapshot
from lotterybench.hub.tars import Samples, read_samples
from lotterybench.keyrings import Keyring
from lotterybench.keyrings import load as load_keyring
from lotterybench.manifests import load_base, load_positions
from lotterybench.paths import positions_file
from lotterybench.records import Base, Split, Subset, parse_ref
from lotterybench.shards import INDEX, ShardIndex
from lotterybench.shards.index import Config, ImageKind, Shard
from lotterybench.shards.samples import samples_of
from lotterybench.streams import positions_of_epoch
from lotterybench.validity import problems


@dataclass(frozen=True)
class Part:
    """What a split of a subset must hold, by position in the base's split.

    `labels` is int64 (N,), -1 for samples that it does not hold; `count` is how many it holds.
    """

    image: ImageKind
    targets: bool
    labels: NDArray[np.int64]
    count: int

    def samples(self, content: bytes, shard: Shard, label: str) -> Samples:
        """Return what a tar's bytes hold; raise `BadShards` for other samples than the subset's."""
        try:
            found = read_samples(content, shard.path, self.image, targets=self.targets)
        except BadShards as error:
            raise BadShards(f"{label}: {error}") from None
        if len(found.labels) != shard.samples:
            raise BadShards(
                f"{label}: {shard.path} holds {len(found.labels)} samples, {INDEX} says "
                f"{shard.samples}"
            )
        inside = found.positions < len(self.labels)
        if not inside.all() or (self.labels[found.positions] != found.labels).any():
            raise BadShards(f"{label}: {shard.path} has samples or labels of another subset")
        return found


@dataclass(frozen=True)
class Released:
    """A subset of a release, its records checked against one another; `tars` reads its images."""

    snapshot: Snapshot
    image: ImageKind
    config: Config
    subset: Subset
    positions: NDArray[np.int64] | None
    base: Base
    keyring: Keyring

    @property
    def label(self) -> str:
        """What messages call the release."""
        return self.snapshot.revision.label

    def part(self, split: Split) -> Part:
        """Return what a split must hold; raise `BadShards` if the index counts otherwise."""
        rows, labels = samples_of(self.subset, self.positions, self.base, self.keyring, split)
        wanted = np.full(len(self.keyring.keys[split]), -1)
        wanted[rows] = labels
        if self.config.count(split) != len(rows):
            raise BadShards(
                f"{self.label}: {split} of {self.subset.ref} has {len(rows)} samples, {INDEX} says "
                f"{self.config.count(split)}"
            )
        targets = self.config.targets is not None and split == "train"
        return Part(self.image, targets, wanted, len(rows))

    def fetch(self, split: Split) -> None:
        """Download what the cache lacks of a split's tars."""
        self.snapshot.fetch(shard.path for shard in self.config.shards[split])

    def tars(self, split: Split) -> Iterator[Samples]:
        """Yield what each tar of a split holds, in order, none of it unchecked.

        Raises `BadShards` for a tar, or at the end for a split, that is not the subset's.
        """
        part, seen = self.part(split), []
        for shard in self.config.shards[split]:
            content = self.snapshot.read(shard.path, shard.sha256, shard.bytes)
            found = part.samples(content, shard, self.label)
            seen.append(found.positions)
            yield found
        every = np.concatenate([np.empty(0, np.int64), *seen])
        if len(np.unique(every)) != part.count:
            raise BadShards(
                f"{self.label}: {split} of {self.subset.ref} holds {len(np.unique(every))} of "
                f"{part.count} samples"
            )


def find_released(ref: str, revision: Revision) -> Released:
    """Download the records of the subset `base/name[@version]` of a release and check them.

    Raises `BadRequest` for a subset that the release does not have, `BadShards` for records that
    contradict one another, `HubError` for files that the Hub does not give.
    """
    snapshot = Snapshot(revision)
    index = _index(snapshot)
    config = _config(index, ref, revision.label)
    listed = [index.base_path, index.keyring_path, config.manifest]
    positions = positions_file(Path(config.manifest)).as_posix()
    listed += [positions] if positions in index.others else []
    snapshot.fetch(listed)
    content = {path: snapshot.read(path, index.others[path]) for path in listed}
    if revision.tag is not None:
        revision.hub.remember(revision.tag, revision.commit)
    return _checked(snapshot, index, config, content)


def _index(snapshot: Snapshot) -> ShardIndex:
    """Return the release's index; one that cannot be read may have been damaged in the cache."""
    content = snapshot.read(INDEX)
    try:
        return ShardIndex.read(content, INDEX)
    except BadRecord as error:
        again = snapshot.again(INDEX, "cannot be read")
        if again is None:
            raise BadShards(f"{snapshot.revision.label}: {error}") from None
    try:
        return ShardIndex.read(again, INDEX)
    except BadRecord as error:
        raise BadShards(f"{snapshot.revision.label}: {error}") from None


def _config(index: ShardIndex, ref: str, label: str) -> Config:
    """Return the config of a subset; raise `BadRequest` if it is not there."""
    wanted, version = parse_ref(ref)
    base, name = wanted.split("/")
    if index.sealed:
        raise BadRequest(
            f"{label} is sealed: it holds no image; without revision and repo, a subset is made of "
            "the base's own images, and `lotterybench materialise` makes the tars"
        )
    if index.base != base:
        raise BadRequest(f"{label} holds subsets of {index.base}; {ref} is one of {base}")
    found = [config for config in index.configs if config.name == name]
    if not found and wanted in {parse_ref(other)[0] for other in index.manifests.values()}:
        raise BadRequest(
            f"{label} has the manifest of {wanted} and no tars; without revision and repo it is "
            "made of the base's own images"
        )
    if not found:
        there = ", ".join(config.name for config in index.configs)
        raise BadRequest(f"{label} has no {ref}; it has {there}")
    there_is, there_version = parse_ref(found[0].subset)
    if there_is != wanted:
        raise BadShards(f"{label}: {INDEX} gives {found[0].subset} the name of {wanted}")
    if version not in (None, there_version):
        raise BadRequest(f"{label} holds {found[0].subset}, not {ref}")
    return found[0]


def _checked(
    snapshot: Snapshot, index: ShardIndex, config: Config, content: dict[str, bytes]
) -> Released:
    """Read the records and compare them with one another and with the index."""
    label, place, positions = snapshot.revision.label, snapshot.place, None
    try:
        base, keyring = load_base(place(index.base_path)), load_keyring(place(index.keyring_path))
        subset = Subset.read(content[config.manifest], config.manifest)
        columns = load_positions(place(config.manifest)) if subset.positions else None
        faults = problems(subset, columns, base, keyring)
        if columns is not None:
            positions = columns["position"].astype(np.int64)
    except Exception as error:  # whatever a crafted file makes the Parquet reader raise
        line = (str(error).splitlines() or [type(error).__name__])[0]
        root = str(place(INDEX).parent)
        raise BadShards(f"{label}: {line.replace(f'{root}/', '')}") from None
    targets = subset.stream.targets if subset.stream else None
    for what, told, true in (
        ("base", index.base_digest, base.digest),
        ("keyring", keyring.digest(), base.keyring_digest),
        ("subset", config.subset, subset.ref),
        ("digest", config.digest, subset.digest),
        ("class_names", config.class_names, subset.classes or base.class_names),
        ("targets", config.targets, targets.digest if targets else None),
    ):
        if told != true:
            faults.append(f"{what} of {config.name} is not what {INDEX} and the records agree on")
    if faults:
        raise BadShards(f"{label}: {'; '.join(faults)}")
    if subset.stream is not None and subset.budget.fraction is not None:
        keys = keyring.keys["train"]
        positions = positions_of_epoch(keys, subset.seed, subset.budget.fraction, 0)
    return Released(snapshot, index.image, config, subset, positions, base, keyring)
