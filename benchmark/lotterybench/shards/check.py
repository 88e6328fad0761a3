"""Checking a shard folder: files against the index, samples against manifests and keyring."""

import hashlib
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from lotterybench.errors import BadData, BadRecord, BadRequest
from lotterybench.keyrings import Keyring
from lotterybench.keyrings import load as load_keyring
from lotterybench.manifests import load_base, load_positions
from lotterybench.paths import positions_file
from lotterybench.progress import bar
from lotterybench.records import SPLITS, Base, Split, Subset
from lotterybench.shards.index import INDEX, UNFINISHED, Config, Shard, ShardIndex
from lotterybench.shards.members import image_key, npy, read_tar
from lotterybench.shards.nesting import increments
from lotterybench.shards.samples import Rows, samples_of
from lotterybench.stream_targets import Half, digest_of_targets, read_targets
from lotterybench.streams import positions_of_epoch
from lotterybench.validity import problems

Held = list[tuple[int, int]]  # position and label of each sample, in a tar's order
Read = tuple[Subset, Rows | None]  # a manifest and its positions, None for a class list
Place = tuple[Split, Shard, str | None]  # a tar of a split, and the digest of its targets


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
    found += _spare_faults(folder, index, base, keyring, faults)
    read: dict[str, Read] = {}
    for config in index.configs:
        if not faults.keys() & _manifest_files(config.manifest):
            try:
                read[config.name] = manifest_of(folder, config.manifest, base, keyring)
            except BadRecord as error:
                found.append(f"{config.name}: {_line(error)}")
    held: dict[Place, Held | None] = {}
    for config in bar(index.configs, len(index.configs), f"checking {folder.name}"):
        targets = None
        if config.targets_path is not None and config.targets_path not in faults:
            try:
                targets = _targets(folder, config, len(keyring.keys["train"]))
            except (BadRecord, BadRequest) as error:
                found.append(_line(error))
        for place in [] if index.sealed else _places(config):
            split, shard, wanted = place
            if place in held or shard.path in faults or (wanted and targets is None):
                continue
            try:
                beside = targets if wanted else None
                held[place] = _held(folder, shard, split, index, base, keyring, beside)
            except BadRecord as error:
                held[place] = None
                found.append(_line(error))
        if config.name in read:
            found += _config_faults(config, base, keyring, read, held, targets)
    return found


def _file_faults(folder: Path, index: ShardIndex) -> dict[str, str]:
    """Return what is wrong with the listed files, by path."""
    listed: list[tuple[str, str, int | None]] = [
        (path, digest, None) for path, digest in index.others.items()
    ]
    listed += [(shard.path, shard.sha256, shard.bytes) for shard in index.tars()]
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


def _places(config: Config) -> list[Place]:
    """Return a config's tars in order; the training images alone have targets."""
    return [
        (split, shard, config.targets if split == "train" else None)
        for split in SPLITS
        for shard in config.shards[split]
    ]


def _targets(folder: Path, config: Config, rows: int) -> Half:
    """Return a config's targets; raise `BadRecord` if they have not the digest of the index."""
    assert config.targets_path is not None
    values = read_targets(folder / config.targets_path)
    if len(values) != rows or digest_of_targets(values) != config.targets:
        raise BadRecord(f"{config.targets_path} does not hold the targets that {INDEX} names")
    return values


def _held(
    folder: Path, shard: Shard, split: Split, index: ShardIndex, base: Base, keyring: Keyring,
    targets: Half | None,
) -> Held:  # fmt: skip
    """Return what a tar holds; raise `BadRecord` for one that index, keyring or targets deny."""
    held: Held = []
    keys = keyring.keys[split]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            samples = read_tar(folder / shard.path, index.image, targets is not None)
            for position, label, image, target in samples:
                if position >= len(keys) or image_key(image, base, index.image) != keys[position]:
                    raise BadRecord(f"{shard.path}: sample {position:08d} is not the keyring's")
                if targets is not None and target != npy(targets[position]):
                    raise BadRecord(f"{shard.path}: sample {position:08d} has another's target")
                held.append((position, label))
    except BadRecord:
        raise
    except Exception as error:  # whatever a crafted file makes tarfile and Pillow raise
        raise BadRecord(f"{shard.path} cannot be read: {_line(error)}") from None
    if len(held) != shard.samples:
        raise BadRecord(f"{shard.path} holds {len(held)} samples, {INDEX} says {shard.samples}")
    return held


def _manifest_files(manifest: str) -> set[str]:
    return {manifest, positions_file(Path(manifest)).as_posix()}


def manifest_of(folder: Path, manifest: str, base: Base, keyring: Keyring) -> Read:
    """Return a manifest and its positions, of a stream those of epoch 0; raise `BadRecord`."""
    try:
        subset = Subset.read((folder / manifest).read_bytes(), manifest)
        columns = load_positions(folder / manifest) if subset.positions else None
        faults = problems(subset, columns, base, keyring)
    except Exception as error:  # whatever a crafted file makes the Parquet reader raise
        raise BadRecord(_line(error)) from None
    if faults:
        raise BadRecord("; ".join(faults))
    if subset.stream is not None and subset.budget.fraction is not None:
        keys = keyring.keys["train"]
        return subset, positions_of_epoch(keys, subset.seed, subset.budget.fraction, 0)
    return subset, None if columns is None else columns["position"].astype(np.int64)


def _spare_faults(
    folder: Path, index: ShardIndex, base: Base, keyring: Keyring, known: dict[str, str]
) -> list[str]:
    """Return what is wrong with the manifests that have no tars."""
    with_tars = {config.manifest for config in index.configs}
    found = []
    for path, ref in sorted(index.manifests.items()):
        if path in with_tars or known.keys() & _manifest_files(path):
            continue
        try:
            subset, _ = manifest_of(folder, path, base, keyring)
            if subset.ref != ref:
                found.append(f"{path} is the manifest of {subset.ref}, in another one's place")
        except BadRecord as error:
            found.append(f"{path}: {_line(error)}")
    return found


def _config_faults(
    config: Config, base: Base, keyring: Keyring, read: dict[str, Read],
    held: dict[Place, Held | None], values: Half | None,
) -> list[str]:  # fmt: skip
    """Compare a config, and what its tars hold, with its manifest."""
    subset, positions = read[config.name]
    targets = subset.stream.targets if subset.stream else None
    faults = []
    for field, told, true in (
        ("name", config.name, subset.name),
        ("subset", config.subset, subset.ref),
        ("digest", config.digest, subset.digest),
        ("class_names", config.class_names, subset.classes or base.class_names),
        ("targets", config.targets, targets.digest if targets else None),
    ):
        if told != true:
            faults.append(f"{field} in {INDEX} is not that of {config.manifest}")
    if targets is not None and values is not None and targets.dimension != values.shape[1]:
        faults.append(f"{config.manifest} says that targets have {targets.dimension} components")
    if not faults and config.family:
        if not read.keys() >= set(config.family):
            return []  # a smaller one's manifest, which is named already, says what comes first
        try:
            positions = in_increments(config.family, read)
        except ValueError as error:
            faults.append(str(error))
    if not faults:
        for split in SPLITS:
            places = [place for place in _places(config) if place[0] == split]
            parts = [held.get(place) for place in places]
            there = [part for part in parts if part is not None]  # the others are named already
            rows, labels = samples_of(subset, positions, base, keyring, split)
            if not there and config.count(split) != len(rows):  # of a sealed folder
                faults.append(f"{split} has {config.count(split)} samples, not {len(rows)}")
            wanted = list(zip(rows.tolist(), labels.tolist(), strict=True))
            if len(there) == len(parts) and list(chain(*there)) != wanted:
                faults.append(f"{split} does not hold the manifest's samples and labels")
    return [f"{config.name}: {fault}" for fault in faults]


def in_increments(family: Sequence[str], read: dict[str, Read]) -> Rows:
    """Return a nested subset's positions in the order of its tars; raise `ValueError`."""
    positions = {name: rows for name in family if (rows := read[name][1]) is not None}
    if positions.keys() != set(family):
        raise ValueError("only subsets of samples have a family")
    return np.concatenate(increments(family, positions))


def _line(error: Exception) -> str:
    """Return an error as one line."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
