"""Making the tars of a sealed folder, byte for byte, from one's own copy of the base."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadData, BadRequest, BadShards
from lotterybench.keyrings import NAMED, Keyring, short
from lotterybench.keyrings import load as load_keyring
from lotterybench.manifests import load_base
from lotterybench.progress import bar
from lotterybench.records import SPLITS, Base, Split, Subset
from lotterybench.shards.beside import complete, left_over
from lotterybench.shards.check import in_increments, manifest_of, shard_problems
from lotterybench.shards.figures import read_figures
from lotterybench.shards.index import (
    FIDELITY,
    INDEX,
    MANIFESTS,
    UNFINISHED,
    Config,
    Shard,
    ShardIndex,
)
from lotterybench.shards.members import sample_members, write_tar
from lotterybench.shards.png import encode
from lotterybench.shards.samples import Rows, samples_of
from lotterybench.sources import Copy, source
from lotterybench.storage import staged, write_whole
from lotterybench.stream_targets import Half, read_targets


class Tar(NamedTuple):
    """A tar to make: what it must be, and the samples that it holds, in order."""

    shard: Shard
    split: Split
    rows: Rows
    labels: Rows
    targets: Half | None


def materialise(sealed: Path, out: Path) -> ShardIndex:
    """Make the folder that a sealed one describes; return its index.

    The copy is looked for where the base's images always are: in `LOTTERYBENCH_DATA`, else on the
    Hub or in its cache. Its order, its labels and images that no subset needs do not matter. Tars
    that lie in `out` with the right sha256 are kept, so that repeating the command continues.

    Raises `BadRequest` for a folder that is not sealed or an `out` that holds other things,
    `BadShards` for one with problems or a tar that comes out otherwise, and `BadData`, naming
    samples, for a copy that lacks images.
    """
    index, base, keyring = _read(sealed)
    if out.resolve() == sealed.resolve():
        raise BadRequest("the tars go to a folder of their own: give another --out")
    before = left_over(out)
    entries, tars = _planned(sealed, index, base, keyring)
    write_whole(out / UNFINISHED, b"")
    missing = [tar for tar in bar(tars, len(tars), "looking for tars") if not _there(out, tar)]
    for split in SPLITS:
        part = [tar for tar in missing if tar.split == split]
        if part:
            wanted = np.unique(np.concatenate([tar.rows for tar in part]))
            file = _own_files(base, keyring, split, wanted)
            for tar in bar(part, len(part), f"writing shards of {base.id} {split}"):
                _write(out, tar, file, index)
    figures = sealed / FIDELITY
    held = [path for path in index.others if path.startswith(f"{MANIFESTS}/")]
    targets = {config.targets_path for config in index.configs} - {None}
    for path in sorted(filter(None, targets)):
        write_whole(out / path, (sealed / path).read_bytes())
    return complete(
        out, base, index.image, entries, before=before,
        copies={path: (sealed / path).read_bytes() for path in held},
        targets={path: index.others[path] for path in filter(None, targets)},
        figures=read_figures(figures.read_bytes(), FIDELITY) if FIDELITY in index.others else (),
    )  # fmt: skip


def _read(sealed: Path) -> tuple[ShardIndex, Base, Keyring]:
    if not (sealed / INDEX).is_file():
        raise BadRequest(
            f"there is no {INDEX} in {sealed}; give a folder that `lotterybench shards --seal` "
            "wrote, or ORG/NAME@TAG"
        )
    if faults := shard_problems(sealed):
        more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise BadShards("; ".join(faults[:NAMED]) + more)
    index = ShardIndex.read((sealed / INDEX).read_bytes(), INDEX)
    if not index.sealed:
        raise BadRequest(f"{sealed} is not sealed: its tars are there")
    return index, load_base(sealed / index.base_path), load_keyring(sealed / index.keyring_path)


def _planned(
    sealed: Path, index: ShardIndex, base: Base, keyring: Keyring
) -> tuple[list[tuple[Config, Subset]], list[Tar]]:
    """Return the configs with their manifests, and each distinct tar with its samples."""
    read = {c.name: manifest_of(sealed, c.manifest, base, keyring) for c in index.configs}
    tars: dict[str, Tar] = {}
    for config in index.configs:
        subset, positions = read[config.name]
        if config.family:
            positions = in_increments(config.family, read)
        targets = read_targets(sealed / config.targets_path) if config.targets_path else None
        for split in SPLITS:
            rows, labels = samples_of(subset, positions, base, keyring, split)
            start = 0
            for shard in config.shards[split]:
                part = slice(start, start + shard.samples)
                start += shard.samples
                beside = targets if split == "train" else None
                tars.setdefault(shard.path, Tar(shard, split, rows[part], labels[part], beside))
    return [(config, read[config.name][0]) for config in index.configs], list(tars.values())


def _there(out: Path, tar: Tar) -> bool:
    """Say whether a tar was made before."""
    file = out / tar.shard.path
    return file.is_file() and file.stat().st_size == tar.shard.bytes and _is(file, tar.shard)


def _is(file: Path, shard: Shard) -> bool:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == shard.sha256


def _write(out: Path, tar: Tar, file: Callable[[int], bytes], index: ShardIndex) -> None:
    """Make a tar; one that is not what the index says is not kept (`BadShards`)."""
    with staged(out / tar.shard.path) as draft:
        write_tar(draft, sample_members(tar.rows, tar.labels, file, index.image, tar.targets))
        if not _is(draft, tar.shard):
            raise BadShards(
                f"{tar.shard.path} comes out otherwise than the sealed {INDEX} says, from images "
                "that all have the right keys: that index is wrong"
            )


def _own_files(base: Base, keyring: Keyring, split: Split, wanted: Rows) -> Callable[[int], bytes]:
    """Return a function from these positions to image files, found in the copy by their keys.

    Raises `BadData` naming samples that the copy lacks, and its files that are none of the base's.
    """
    reader = source[base.source]
    content: Callable[[int], bytes]
    if base.key_kind == "encoded":
        listed = reader.listing(base, split)
        keys, names, content = listed.keys, listed.names, listed.content
    else:
        copy: Copy = reader.read(base, split)
        keys, names = copy.keys, copy.names
        content = lambda row: encode(copy.pixels[row])  # noqa: E731
    theirs = short(keys)
    order = np.argsort(theirs, kind="stable")
    ours = keyring.keys[split][wanted]
    places = np.searchsorted(theirs[order], ours)
    found = places < len(order)
    found[found] = theirs[order[places[found]]] == ours[found]
    if not found.all():
        strange = np.flatnonzero(~np.isin(theirs, keyring.keys[split])).tolist()
        raise BadData(
            f"the copy of {base.id} at hand lacks {int((~found).sum())} of {len(wanted)} {split} "
            f"images: {_samples(base, keyring, split, wanted[~found])}"
            + (f"; not of {base.id}: {_some([names[row] for row in strange])}" if strange else "")
        )
    row_at = dict(zip(wanted.tolist(), order[places].tolist(), strict=True))
    return lambda position: content(row_at[position])


def _samples(base: Base, keyring: Keyring, split: Split, positions: NDArray[np.int64]) -> str:
    keys, labels = keyring.keys[split], keyring.labels[split]
    return _some(
        [
            f"{position:08d} (key {int(keys[position]):016x}, "
            f"{base.class_names[int(labels[position])]})"
            for position in positions.tolist()
        ]
    )


def _some(items: list[str]) -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(item if item.isprintable() else ascii(item) for item in items[:NAMED]) + more
