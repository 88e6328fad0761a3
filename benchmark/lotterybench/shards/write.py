"""Writing shards: tars, card and index of a set of subsets of one base."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.manifests import (
    find_base,
    load_keyring,
    load_subset_manifest,
    save_base,
    save_manifest,
)
from lotterybench.progress import bar
from lotterybench.records import Base, Split, Subset, canonical_json
from lotterybench.shards.card import write_card
from lotterybench.shards.index import INDEX, UNFINISHED, Config, Shard, ShardIndex
from lotterybench.shards.png import encode
from lotterybench.sources import encoded, images
from lotterybench.storage import staged, write_whole

PER_SHARD = 500  # samples; 2 MB of 32×32 images, so that small subsets still feed several workers


def write_shards(refs: Sequence[str], out: Path, *, per_shard: int = PER_SHARD) -> ShardIndex:
    """Write the shards of subsets of one base into a folder; equal arguments, equal bytes.

    `refs` are ids (`base/name`, `base/name@2`) or manifest files. A folder that holds older
    shards is brought up to date; one that holds anything else is refused (`BadRequest`).
    """
    chosen = [load_subset_manifest(ref) for ref in refs]
    bases = sorted({subset.base for subset, _ in chosen})
    names = [subset.name for subset, _ in chosen]
    if len(bases) != 1:
        raise BadRequest(
            f"one folder holds one base; the subsets are of {', '.join(bases) or 'none'}"
        )
    if len(set(names)) < len(names) or "test" in names:
        raise BadRequest("each subset may be given once, and none may be named test")
    base, _ = find_base(bases[0])
    before = _begin(out)
    writer = Writer(base, out, per_shard)
    configs = [
        writer.config(subset, positions)
        for subset, positions in bar(chosen, len(chosen), f"writing shards of {base.id}")
    ]
    configs.sort(key=lambda config: (config.count("train"), config.name))
    index = ShardIndex(
        base=base.id,
        base_digest=base.digest,
        configs=configs,
        others=_write_manifests(base, chosen, out),
    )
    write_whole(out / "_info.json", canonical_json(_timm_info(index)))
    write_card(out / "README.md", base, index, [subset for subset, _ in chosen])
    write_whole(out / INDEX, index.pretty())
    for stale in sorted(before - index.files()):
        (out / stale).unlink(missing_ok=True)
    (out / UNFINISHED).unlink()
    return index


class Writer:
    """Writes the tars of one base, reading each split once and the shared test split once."""

    def __init__(self, base: Base, out: Path, per_shard: int) -> None:
        self.base, self.out, self.per_shard = base, out, per_shard
        self._file: dict[Split, Callable[[int], bytes]] = {}
        self._labels = {
            split: load_keyring(base.id).labels[split].astype(np.int64) for split in base.splits
        }
        self._test: list[Shard] | None = None

    def config(self, subset: Subset, positions: NDArray[np.int64] | None) -> Config:
        """Write one subset's tars; class lists get contiguous labels and a test split of theirs."""
        if subset.classes is None:
            assert positions is not None
            names = self.base.class_names
            if self._test is None:
                everything = np.arange(len(self._labels["test"]))
                self._test = self._tars("data/test/test", "test", everything, self._labels["test"])
            shards = {
                "train": self._tars(
                    f"data/{subset.name}/train", "train", positions, self._labels["train"]
                ),
                "test": self._test,
            }
        else:
            names = subset.classes
            new = np.full(len(self.base.class_names), -1)
            new[self.base.class_indices(names)] = np.arange(len(names))
            shards = {
                split: self._tars(
                    f"data/{subset.name}/{split}",
                    split,
                    np.flatnonzero(new[self._labels[split]] >= 0),
                    new[self._labels[split]],
                )
                for split in self.base.splits
            }
        return Config(
            name=subset.name, subset=subset.ref, digest=subset.digest, class_names=names,
            shards=shards,
        )  # fmt: skip

    def _tars(
        self, stem: str, split: Split, rows: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> list[Shard]:
        file, kind = self._reader(split), self._extension()
        shards = []
        for number, start in enumerate(range(0, len(rows), self.per_shard)):
            part = rows[start : start + self.per_shard]
            members = (
                member
                for row in part.tolist()
                for member in (
                    (f"{row:08d}.cls", str(labels[row]).encode()),
                    (f"{row:08d}.{kind}", file(row)),
                )
            )
            path = self.out / f"{stem}-{number:05d}.tar"
            with staged(path) as draft:
                write_tar(draft, members)
                content = draft.read_bytes()
            shards.append(
                Shard(
                    path=path.relative_to(self.out).as_posix(),
                    samples=len(part),
                    bytes=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
        return shards

    def _extension(self) -> str:
        return "png" if self.base.key_kind == "pixels" else "jpg"

    def _reader(self, split: Split) -> Callable[[int], bytes]:
        """Return a function from a position to the bytes of the sample's image file."""
        if split not in self._file:
            if self.base.key_kind == "pixels":
                pixels = images(self.base.id, split).pixels
                self._file[split] = lambda row: encode(pixels[row])
            else:
                files = encoded(self.base.id, split)
                self._file[split] = lambda row: files[row]
        return self._file[split]


def write_tar(path: Path, members: Iterator[tuple[str, bytes]]) -> None:
    """Write a USTAR archive whose bytes depend on names and contents alone."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)  # owner 0, no names, mtime 0
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))


def _begin(out: Path) -> set[str]:
    """Claim a folder; return the files of earlier shards in it, finished or not.

    A folder that holds anything else is refused. Until the index is written, a marker says that
    whatever lies in `data/` and `manifests/` is ours.
    """
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if UNFINISHED in there:
        return {
            path.relative_to(out).as_posix()
            for part in ("data", "manifests")
            for path in (out / part).rglob("*")
            if path.is_file()
        }
    if there and INDEX not in there:
        raise BadRequest(f"{out} holds other files than shards; give an empty folder with --out")
    before = set()
    if there:
        before = ShardIndex.read((out / INDEX).read_bytes(), str(out / INDEX)).files()
    write_whole(out / UNFINISHED, b"")
    return before


def _write_manifests(
    base: Base, chosen: Sequence[tuple[Subset, NDArray[np.int64] | None]], out: Path
) -> list[str]:
    root = out / "manifests"
    save_base(base, load_keyring(base.id), root)
    written = [f"manifests/{base.id}/base.json", f"manifests/{base.id}/keys.parquet"]
    for subset, positions in chosen:
        file = save_manifest(
            subset, None if positions is None else {"position": positions.astype(np.uint32)}, root
        )
        written.append(file.relative_to(out).as_posix())
        if positions is not None:
            written.append(file.relative_to(out).with_suffix(".positions.parquet").as_posix())
    return sorted(written)


def _timm_info(index: ShardIndex) -> dict[str, object]:
    """Return what timm's `wds/` reader wants in `_info.json`: a split per subset and per test."""
    splits = {}
    for config in index.configs:
        for split, shards in config.shards.items():
            name = config.name if split == "train" else f"{config.name}-test"
            splits[name] = {
                "name": name,
                "num_samples": config.count(split),
                "filenames": [shard.path for shard in shards],
                "shard_lengths": [shard.samples for shard in shards],
            }
    return {"splits": splits}
