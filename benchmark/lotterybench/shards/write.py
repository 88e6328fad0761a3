"""Writing shards: tars, card and index of a set of subsets of one base."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.manifests import find_base, find_manifest, load_keyring, load_subset_manifest
from lotterybench.paths import base_file, keyring_file, manifest_file, positions_file
from lotterybench.progress import bar
from lotterybench.records import SPLITS, Base, Split, Subset, canonical_json
from lotterybench.shards.card import card
from lotterybench.shards.index import (
    CARD,
    DATA,
    INDEX,
    INFO,
    MANIFESTS,
    UNFINISHED,
    Config,
    ImageKind,
    Shard,
    ShardIndex,
)
from lotterybench.shards.members import image_kind, write_tar
from lotterybench.shards.png import encode
from lotterybench.sources import encoded, images
from lotterybench.storage import staged, write_whole

PER_SHARD = 500  # samples; 2 MB of 32×32 images, so that small subsets still feed several workers


class Choice(NamedTuple):
    """A subset to shard: its manifest, its positions (None for a class list) and its file."""

    subset: Subset
    positions: NDArray[np.int64] | None
    file: Path


def write_shards(refs: Sequence[str], out: Path, *, per_shard: int = PER_SHARD) -> ShardIndex:
    """Write the shards of subsets of one base into a folder; equal arguments, equal bytes.

    `refs` are ids (`base/name`, `base/name@2`) or manifest files. A folder that holds older
    shards is brought up to date; one that holds anything else is refused (`BadRequest`).
    """
    chosen = [Choice(*load_subset_manifest(ref), find_manifest(ref)) for ref in refs]
    _check([choice.subset for choice in chosen])
    before = _before(out)
    base, root = find_base(chosen[0].subset.base)
    copies = _copies(base, root, chosen)
    writer = Writer(base, out, per_shard)
    write_whole(out / UNFINISHED, b"")
    entries = [
        (writer.config(choice.subset, choice.positions), choice.subset)
        for choice in bar(chosen, len(chosen), f"writing shards of {base.id}")
    ]
    entries.sort(key=lambda entry: (entry[0].count("train"), entry[0].name))
    configs = [config for config, _ in entries]
    others = copies | {
        INFO: canonical_json(_timm_info(configs)),
        CARD: card(base, writer.image, entries),
    }
    for path, content in others.items():
        write_whole(out / path, content)
    index = ShardIndex(
        base=base.id,
        base_digest=base.digest,
        image=writer.image,
        configs=configs,
        others={path: hashlib.sha256(others[path]).hexdigest() for path in sorted(others)},
    )
    write_whole(out / INDEX, index.pretty())
    for stale in sorted(before - index.files()):
        _remove(out, stale)
    (out / UNFINISHED).unlink()
    return index


class Writer:
    """Writes the tars of one base, and those of the shared test split once.

    Making one reads both splits. `image` is the extension of the samples' image files.
    """

    def __init__(self, base: Base, out: Path, per_shard: int) -> None:
        self.base, self.out, self.per_shard = base, out, per_shard
        self.image, self._file = _image_files(base)
        ring = load_keyring(base.id)
        self._labels = {split: ring.labels[split].astype(np.int64) for split in SPLITS}
        self._test: list[Shard] | None = None

    def config(self, subset: Subset, positions: NDArray[np.int64] | None) -> Config:
        """Write one subset's tars; class lists get contiguous labels and a test split of theirs."""
        if subset.classes is None:
            assert positions is not None
            names = self.base.class_names
            if self._test is None:
                everything = np.arange(len(self._labels["test"]))
                self._test = self._tars(
                    f"{DATA}/test/test", "test", everything, self._labels["test"]
                )
            shards = {
                "train": self._tars(
                    f"{DATA}/{subset.name}/train", "train", positions, self._labels["train"]
                ),
                "test": self._test,
            }
        else:
            names = subset.classes
            new = np.full(len(self.base.class_names), -1)
            new[self.base.class_indices(names)] = np.arange(len(names))
            shards = {
                split: self._tars(
                    f"{DATA}/{subset.name}/{split}",
                    split,
                    np.flatnonzero(new[self._labels[split]] >= 0),
                    new[self._labels[split]],
                )
                for split in SPLITS
            }
        return Config(
            name=subset.name, subset=subset.ref, digest=subset.digest, class_names=names,
            shards=shards,
        )  # fmt: skip

    def _tars(
        self, stem: str, split: Split, rows: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> list[Shard]:
        file = self._file[split]
        shards = []
        for number, start in enumerate(range(0, len(rows), self.per_shard)):
            part = rows[start : start + self.per_shard]
            members = (
                member
                for row in part.tolist()
                for member in (
                    (f"{row:08d}.cls", str(labels[row]).encode()),
                    (f"{row:08d}.{self.image}", file(row)),
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


def _check(subsets: Sequence[Subset]) -> None:
    """Refuse subsets that cannot share a folder."""
    bases = sorted({subset.base for subset in subsets})
    if len(bases) != 1:
        raise BadRequest(
            f"one folder holds one base; the subsets are of {', '.join(bases) or 'none'}"
        )
    names = [subset.name for subset in subsets]
    if len(set(names)) < len(names) or "test" in names:
        raise BadRequest("each subset may be given once, and none may be named test")
    for name in names:
        if _timm_name(name, "test") in names:
            raise BadRequest(
                f"for timm, the subset {name}-test and the test split of {name} have one name; "
                "write them to two folders"
            )


def _image_files(base: Base) -> tuple[ImageKind, dict[Split, Callable[[int], bytes]]]:
    """Return the kind of a base's image files, and functions from a position to a file's bytes.

    Raises `BadRequest` if the files of a base keyed by file are not all PNG or all JPEG.
    """
    if base.key_kind == "pixels":
        return "png", {split: _encoder(images(base.id, split).pixels) for split in SPLITS}
    files = {split: encoded(base.id, split) for split in SPLITS}
    first = image_kind(files["train"][0])
    for split in SPLITS:
        for position, content in enumerate(files[split]):
            kind = image_kind(content)
            if kind is None or kind != first:
                what = f"a {kind} file among {first} files" if kind else "neither PNG nor JPEG"
                raise BadRequest(
                    f"{base.id}: {split} position {position} is {what}; shards need one kind"
                )
    assert first is not None
    return first, {split: files[split].__getitem__ for split in SPLITS}


def _encoder(pixels: NDArray[np.uint8]) -> Callable[[int], bytes]:
    return lambda row: encode(pixels[row])


def _before(out: Path) -> set[str]:
    """Return the tars and manifests that earlier shards left in a folder, finished or not.

    A folder that holds anything else is refused. Until the index is written, a marker says that
    whatever lies in `data/` and `manifests/` is ours.
    """
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if UNFINISHED in there:
        drafts = [file for name in (CARD, INFO, INDEX) for file in out.glob(f".{name}.*")]
        inside = [file for part in (DATA, MANIFESTS) for file in (out / part).rglob("*")]
        return {file.relative_to(out).as_posix() for file in drafts + inside}
    if not there:
        return set()
    if INDEX not in there:
        raise BadRequest(f"{out} holds other files than shards; give an empty folder with --out")
    index = ShardIndex.read((out / INDEX).read_bytes(), str(out / INDEX))
    return {path for path in index.files() if path.startswith((f"{DATA}/", f"{MANIFESTS}/"))}


def _copies(base: Base, root: Path, chosen: Sequence[Choice]) -> dict[str, bytes]:
    """Return the bytes of the base's and the subsets' files, by their path in the folder."""
    target = Path(MANIFESTS)
    sources = {
        base_file(target, base.id): base_file(root, base.id),
        keyring_file(target, base.id): keyring_file(root, base.id),
    }
    for subset, positions, file in chosen:
        manifest = manifest_file(target, subset.id, subset.version)
        sources[manifest] = file
        if positions is not None:
            sources[positions_file(manifest)] = positions_file(file)
    return {path.as_posix(): source.read_bytes() for path, source in sources.items()}


def _remove(out: Path, path: str) -> None:
    """Remove a file and the folders that it leaves empty; never through a linked folder."""
    file = out / path
    if file.parent.resolve() != out.resolve() / Path(path).parent:
        return
    if file.is_file() or file.is_symlink():
        file.unlink()
    for folder in (out / parent for parent in Path(path).parents[:-1]):
        if not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()


def _timm_info(configs: Sequence[Config]) -> dict[str, object]:
    """Return what timm's `wds/` reader wants in `_info.json`: a split per subset and per test."""
    splits = {}
    for config in configs:
        for split, shards in config.shards.items():
            name = _timm_name(config.name, split)
            splits[name] = {
                "name": name,
                "num_samples": config.count(split),
                "filenames": [shard.path for shard in shards],
                "shard_lengths": [shard.samples for shard in shards],
            }
    return {"splits": splits}


def _timm_name(name: str, split: Split) -> str:
    return name if split == "train" else f"{name}-test"
