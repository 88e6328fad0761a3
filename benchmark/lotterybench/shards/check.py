"""Checking a shard folder: files against the index, samples against manifests and keyring."""

import hashlib
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lotterybench.errors import BadData, BadRecord
from lotterybench.keyrings import Keyring
from lotterybench.keyrings import load as load_keyring
from lotterybench.manifests import load_base, load_positions
from lotterybench.paths import positions_file
from lotterybench.progress import bar
from lotterybench.records import SPLITS, Base, Split, Subset
from lotterybench.shards.index import INDEX, UNFINISHED, Config, Shard, ShardIndex
from lotterybench.shards.members import image_key, read_tar
from lotterybench.validity import problems

Held = list[tuple[int, int]]  # position and label of each sample, in a tar's order


def shard_problems(folder: Path) -> list[str]:
    """Return everything that is wrong with a shard folder; [] if it holds.

    Needs nothing but the folder: the base record and keyring lie in it.
    """
    try:
        if (folder / UNFINISHED).exists():
            return ["the shards are unfinished: repeat the command that wrote them"]
        index = ShardIndex.read((folder / INDEX).read_bytes(), INDEX)
        faults = _file_faults(folder, index)
        found = [*faults.values(), *_unlisted(folder, index.files())]
    except (OSError, BadRecord) as error:
        return [_line(error)]
    if {index.base_path, index.keyring_path} & faults.keys():
        return found
    try:
        base = load_base(folder / index.base_path)
        keyring = load_keyring(folder / index.keyring_path)
    except (OSError, BadData, BadRecord) as error:
        return [*found, _line(error)]
    wrong = _base_faults(index, base, keyring)
    if wrong:
        return found + wrong
    held: dict[tuple[Split, Shard], Held | None] = {}
    for config in bar(index.configs, len(index.configs), f"checking {folder.name}"):
        for split in SPLITS:
            for shard in config.shards[split]:
                if (split, shard) not in held and shard.path not in faults:
                    try:
                        held[split, shard] = _held(folder, shard, split, index, base, keyring)
                    except BadRecord as error:
                        held[split, shard] = None
                        found.append(_line(error))
        if not faults.keys() & {config.manifest, positions_file(Path(config.manifest)).as_posix()}:
            found += _config_faults(folder, config, base, keyring, held)
    return found


def _file_faults(folder: Path, index: ShardIndex) -> dict[str, str]:
    """Return what is wrong with the listed files, by path."""
    listed: list[tuple[str, str, int | None]] = [
        (path, digest, None) for path, digest in index.others.items()
    ]
    listed += [(shard.path, shard.sha256, shard.bytes) for shard in index.shards()]
    faults = {}
    for path, digest, size in sorted(listed, key=lambda entry: entry[0]):
        file = folder / path
        try:
            if not file.is_file():
                faults[path] = f"{path} is missing"
            elif size is not None and file.stat().st_size < size:
                faults[path] = f"{path} is truncated: {file.stat().st_size} of {size} bytes"
            else:
                with file.open("rb") as content:
                    same = hashlib.file_digest(content, "sha256").hexdigest() == digest
                if not same or size not in (None, file.stat().st_size):
                    faults[path] = f"{path} was changed: its sha256 is not the one in {INDEX}"
        except OSError as error:
            faults[path] = f"{path} cannot be read: {error.strerror}"
    return faults


def _unlisted(folder: Path, listed: set[str]) -> list[str]:
    """Name the files that the index does not know, apart from git's and the Hub client's."""
    found = []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not (name in listed or name.startswith((".cache", ".git")) or file.is_dir()):
            found.append(f"{name if name.isprintable() else ascii(name)} is not in {INDEX}")
    return found


def _base_faults(index: ShardIndex, base: Base, keyring: Keyring) -> list[str]:
    """Compare base, keyring and index with each other."""
    faults = []
    if base.digest != index.base_digest:
        faults.append(f"{INDEX} names another base than {index.base_path} holds")
    if keyring.digest() != base.keyring_digest:
        faults.append("the keyring does not have the digest that base.json names")
    for split in SPLITS:
        labels = keyring.labels[split]
        if len(labels) != base.splits[split].rows:
            faults.append(
                f"the keyring's {split} has {len(labels)} rows, "
                f"base.json says {base.splits[split].rows}"
            )
        if labels.max(initial=0) >= len(base.class_names):
            faults.append(f"the keyring's {split} has labels that base.json has no class for")
    if base.key_kind == "pixels" and index.image != "png":
        faults.append(f"{INDEX} names {index.image} images; a base keyed by pixels has png")
    return faults


def _held(
    folder: Path, shard: Shard, split: Split, index: ShardIndex, base: Base, keyring: Keyring
) -> Held:
    """Return what a tar holds; raise `BadRecord` for one that the index or keyring denies."""
    held: Held = []
    keys = keyring.keys[split]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for position, label, image in read_tar(folder / shard.path, index.image):
                if position >= len(keys) or image_key(image, base, index.image) != keys[position]:
                    raise BadRecord(f"{shard.path}: sample {position:08d} is not the keyring's")
                held.append((position, label))
    except BadRecord:
        raise
    except Exception as error:  # whatever a crafted file makes tarfile and Pillow raise
        raise BadRecord(f"{shard.path} cannot be read: {_line(error)}") from None
    if len(held) != shard.samples:
        raise BadRecord(f"{shard.path} holds {len(held)} samples, {INDEX} says {shard.samples}")
    return held


def _config_faults(
    folder: Path,
    config: Config,
    base: Base,
    keyring: Keyring,
    held: dict[tuple[Split, Shard], Held | None],
) -> list[str]:
    """Compare a config, and what its tars hold, with its manifest."""
    file = folder / config.manifest
    try:
        subset = Subset.read(file.read_bytes(), config.manifest)
        columns = load_positions(file) if subset.positions else None
        faults = problems(subset, columns, base, keyring)
    except Exception as error:  # whatever a crafted file makes the Parquet reader raise
        return [f"{config.name}: {_line(error)}"]
    if subset.stream is not None:
        return [f"{config.name}: a stream is redrawn every epoch and has no shards"]
    names = base.class_names if subset.classes is None else subset.classes
    for field, told, true in (
        ("name", config.name, subset.name),
        ("subset", config.subset, subset.ref),
        ("digest", config.digest, subset.digest),
        ("class_names", config.class_names, names),
    ):
        if told != true:
            faults.append(f"{field} in {INDEX} is not that of {config.manifest}")
    if not faults:
        positions = None if columns is None else columns["position"].astype(np.int64)
        for split in SPLITS:
            parts = [held.get((split, shard)) for shard in config.shards[split]]
            there = [part for part in parts if part is not None]  # the others are named already
            wanted = _wanted(subset, positions, base, keyring, split)
            if len(there) == len(parts) and list(chain(*there)) != wanted:
                faults.append(f"{split} does not hold the manifest's samples and labels")
    return [f"{config.name}: {fault}" for fault in faults]


def _wanted(
    subset: Subset, positions: NDArray[np.int64] | None, base: Base, keyring: Keyring, split: Split
) -> Held:
    """Return what a config's split must hold, in order."""
    new = np.arange(len(base.class_names))
    if subset.classes is not None:
        new = np.full(len(base.class_names), -1)
        new[base.class_indices(subset.classes)] = np.arange(len(subset.classes))
    labels = new[keyring.labels[split].astype(np.int64)]
    rows = np.flatnonzero(labels >= 0)
    if split == "train" and positions is not None:
        rows = positions
    return list(zip(rows.tolist(), labels[rows].tolist(), strict=True))


def _line(error: Exception) -> str:
    """Return an error as one line."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
