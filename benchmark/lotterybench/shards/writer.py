"""Writing tars: each subset's, of nested subsets the increments, and the shared test split once."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lotterybench.manifests import load_keyring
from lotterybench.records import SPLITS, Base, Split, Subset
from lotterybench.shards.beside import remove
from lotterybench.shards.files import image_files
from lotterybench.shards.index import DATA, Config, Shard
from lotterybench.shards.members import sample_members, write_tar
from lotterybench.shards.nesting import Chosen, families, folders, increments
from lotterybench.shards.samples import Rows, samples_of
from lotterybench.storage import staged
from lotterybench.stream_targets import Half, told_by, write_targets


class Writer:
    """Writes the tars of one base, and those of the shared test split once.

    Making one reads both splits. `chosen` are all subsets that it is to write, with positions,
    from which it knows which of them nest. `image` is the extension of the samples' image files;
    `targets` has the sha256 of every file of targets, by its path. With `seal`, a tar goes as soon
    as its sha256 is known.
    """

    def __init__(
        self, base: Base, out: Path, per_shard: int, chosen: Sequence[Chosen], *, seal: bool = False
    ) -> None:
        self._seal = seal
        self.base, self.out, self.per_shard = base, out, per_shard
        self.image, train = image_files(base, "train")
        self._file = {"train": train, "test": image_files(base, "test", self.image)[1]}
        self._ring = load_keyring(base.id)
        self._test: list[Shard] | None = None
        self._nested = families(chosen)
        self._subsets = {subset.name: subset for subset, _ in chosen}
        self._positions = {s.name: rows for s, rows in chosen if rows is not None}
        self._increments: dict[str, list[Shard]] = {}  # by the subset that adds them
        self.targets: dict[str, str] = {}

    def config(self, subset: Subset, positions: Rows | None, targets: Half | None = None) -> Config:
        """Write one subset's tars; class lists get contiguous labels and a test split of theirs."""
        found: dict[Split, tuple[Rows, Rows]] = {
            split: samples_of(subset, positions, self.base, self._ring, split) for split in SPLITS
        }
        stem = f"{DATA}/{subset.name}"
        family = self._nested.get(subset.name, ())
        if family:
            shards = {"train": self._nested_tars(family)}
        else:
            shards = {"train": self._tars(f"{stem}/train", "train", *found["train"], targets)}
        if subset.classes is not None:
            shards["test"] = self._tars(f"{stem}/test", "test", *found["test"])
        else:
            self._test = self._test or self._tars(f"{DATA}/test/test", "test", *found["test"])
            shards["test"] = self._test
        config = Config(
            name=subset.name, subset=subset.ref, digest=subset.digest,
            class_names=subset.classes or self.base.class_names, shards=shards,
            targets=None if targets is None else told_by(subset).digest, family=family,
        )  # fmt: skip
        if targets is not None and config.targets_path is not None:
            file = self.out / config.targets_path
            self.targets[config.targets_path] = write_targets(file, targets)
        return config

    def _nested_tars(self, family: Sequence[str]) -> list[Shard]:
        """Return the tars of a family's increments; those that no smaller subset wrote are new."""
        parts = increments(family, self._positions)
        places = folders(self._subsets[family[0]], parts)
        for name, rows, place in zip(family, parts, places, strict=True):
            if name not in self._increments:
                labels = self._ring.labels["train"][rows].astype(np.int64)
                self._increments[name] = self._tars(f"{place}/train", "train", rows, labels)
        return [shard for name in family for shard in self._increments[name]]

    def _tars(
        self, stem: str, split: Split, rows: Rows, labels: Rows, targets: Half | None = None
    ) -> list[Shard]:
        shards = []
        for number, start in enumerate(range(0, len(rows), self.per_shard)):
            part = slice(start, start + self.per_shard)
            members = sample_members(
                rows[part], labels[part], self._file[split], self.image, targets
            )
            path = self.out / f"{stem}-{number:05d}.tar"
            with staged(path) as draft:
                write_tar(draft, members)
                content = draft.read_bytes()
            if self._seal:
                remove(self.out, path.relative_to(self.out).as_posix())
            shards.append(
                Shard(
                    path=path.relative_to(self.out).as_posix(),
                    samples=len(rows[part]),
                    bytes=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
        return shards
