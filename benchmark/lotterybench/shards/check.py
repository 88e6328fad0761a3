"""Checking a shard folder: files against the index, samples against the keyring."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lotterybench.errors import BadRecord
from lotterybench.keyrings import Keyring, file_key, pixel_key, short
from lotterybench.keyrings import load as load_keyring
from lotterybench.manifests import load_base, load_positions, problems
from lotterybench.paths import base_file, keyring_file, manifest_file
from lotterybench.progress import bar
from lotterybench.records import SPLITS, Base, Split, Subset, parse_ref
from lotterybench.shards.index import INDEX, UNFINISHED, Config, Shard, ShardIndex


def shard_problems(folder: Path) -> list[str]:
    """Return everything that is wrong with a shard folder; [] if it holds.

    Needs nothing but the folder: the base record and keyring lie in it.
    """
    if (folder / UNFINISHED).exists():
        return ["the shards are unfinished: repeat the command that wrote them"]
    try:
        index = ShardIndex.read((folder / INDEX).read_bytes(), INDEX)
        root = folder / "manifests"
        base = load_base(base_file(root, index.base))
        keyring = load_keyring(keyring_file(root, index.base))
    except (OSError, BadRecord) as error:
        return [str(error)]
    found = []
    if base.digest != index.base_digest:
        found.append(f"{INDEX} names another base than manifests/{base.id}/base.json holds")
    if keyring.digest() != base.keyring_digest:
        found.append("the keyring does not have the digest that base.json names")
    missing = sorted(name for name in index.files() if not (folder / name).is_file())
    found += [f"{name} is missing" for name in missing]
    checked: dict[str, dict[int, int]] = {}
    for config in bar(index.configs, len(index.configs), f"checking {folder.name}"):
        for split in SPLITS:
            for shard in config.shards[split]:
                if shard.path not in checked and shard.path not in missing:
                    checked[shard.path], faults = _shard(folder, shard, split, base, keyring)
                    found += faults
        if not found:
            found += _config(folder, config, base, keyring, checked)
    return found


def _shard(
    folder: Path, shard: Shard, split: Split, base: Base, keyring: Keyring
) -> tuple[dict[int, int], list[str]]:
    """Return the labels by position that a tar holds, and what is wrong with it."""
    content = (folder / shard.path).read_bytes()
    if len(content) < shard.bytes:
        return {}, [f"{shard.path} is truncated: {len(content)} of {shard.bytes} bytes"]
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        return {}, [f"{shard.path} was changed: its sha256 is not the one in {INDEX}"]
    labels: dict[int, int] = {}
    try:
        for position, image, label in _samples(content):
            if _key(image, base) != int(keyring.keys[split][position]):
                return {}, [f"{shard.path}: sample {position:08d} is not the keyring's"]
            labels[position] = label
    except (tarfile.TarError, OSError, ValueError, IndexError, KeyError) as error:
        return {}, [f"{shard.path} cannot be read: {error}"]
    if len(labels) != shard.samples:
        return labels, [f"{shard.path} holds {len(labels)} samples, {INDEX} says {shard.samples}"]
    return labels, []


def _samples(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        parts: dict[str, bytes] = {}
        for member in tar:
            stem, _, extension = member.name.partition(".")
            file = tar.extractfile(member)
            parts[extension] = file.read() if file else b""
            if len(parts) == 2:
                label = int(parts.pop("cls"))
                yield int(stem), parts.popitem()[1], label
    if parts:
        raise ValueError("the last sample is incomplete")


def _key(content: bytes, base: Base) -> int:
    if base.key_kind == "encoded":
        return int(short([file_key(content)])[0])
    with Image.open(io.BytesIO(content)) as image:
        return int(short([pixel_key(np.asarray(image.convert(base.mode)))])[0])


def _config(
    folder: Path, config: Config, base: Base, keyring: Keyring, held: dict[str, dict[int, int]]
) -> list[str]:
    """Compare what a config's tars hold with what its manifest selects."""
    subset_id, version = parse_ref(config.subset)
    file = manifest_file(folder / "manifests", subset_id, version or 1)
    subset = Subset.read(file.read_bytes(), file.name)
    columns = load_positions(file) if subset.positions else None
    faults = [f"{config.name}: {fault}" for fault in problems(subset, columns, base, keyring)]
    if faults:
        return faults
    new = np.arange(len(base.class_names))
    if subset.classes is not None:
        new = np.full(len(base.class_names), -1)
        new[base.class_indices(subset.classes)] = np.arange(len(subset.classes))
    for split in SPLITS:
        labels = new[keyring.labels[split].astype(np.int64)]
        rows: NDArray[np.int64] = np.flatnonzero(labels >= 0)
        if split == "train" and columns is not None:
            rows = columns["position"].astype(np.int64)
        there = {
            row: label for shard in config.shards[split] for row, label in held[shard.path].items()
        }
        if there != dict(zip(rows.tolist(), labels[rows].tolist(), strict=True)):
            faults.append(f"{config.name}: {split} does not hold the manifest's samples and labels")
    return faults
