"""Pinning a dataset by content, and reading a pinned one in its canonical order."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadData, UnknownName
from lotterybench.keyrings import Keyring, canonical_order, resolve, short, split_digest
from lotterybench.manifests import find_base, find_record, load_keyring
from lotterybench.paths import cache_folder
from lotterybench.records import SPLITS, Base, Origin, Split, SplitInfo
from lotterybench.sources.base import Copy, Images, Listing, source
from lotterybench.sources.known import ROWS
from lotterybench.storage import staged, write_whole

# What pin() works out, given here so that a draft of the record validates before it is known.
_UNKNOWN = "0" * 64
Read = TypeVar("Read", Copy, Listing)


def pin(origin: Origin) -> tuple[Base, Keyring]:
    """Read a whole copy and return its record and keyring.

    Of a dataset keyed by file, keys, labels and names are held, not the images, which may be of
    several sizes. Raises `BadData` if the splits disagree on the classes, other images differ in
    size, or a well-known dataset is not whole.
    """
    reader = source[origin.source]
    origin = reader.settle(origin)
    copies: dict[Split, Copy | Listing] = {
        split: reader.listing(origin, split, look=True)
        if origin.key_kind == "encoded"
        else reader.read(origin, split)
        for split in SPLITS
    }
    train, test = copies["train"], copies["test"]
    there = len(train.keys), len(test.keys)
    if there != ROWS.get(origin.id, there):
        raise BadData(
            "{} has {} and {} images to train and test on, this copy {} and {}; "
            "a part of it needs another name: --id".format(origin.id, *ROWS[origin.id], *there)
        )
    if train.class_names != test.class_names:
        raise BadData(f"{origin.id}: the training and test splits name different classes")
    sizes = np.concatenate([train.sizes, test.sizes])
    several = bool((sizes != sizes[0]).any())
    if several and origin.key_kind == "pixels":
        raise BadData(f"{origin.id}: training and test images differ in size")
    keyring = Keyring({s: _in_order(copies[s])[0] for s in SPLITS},
                      {s: _in_order(copies[s])[1] for s in SPLITS})  # fmt: skip
    draft = Base(
        **origin.model_dump()
        | {
            "size": tuple(sizes.min(0).tolist()),
            "several_sizes": several,
            "wordnet_ids": _synsets(origin, train.class_names),
        },
        schema_version=1,
        splits={
            split: SplitInfo(rows=len(copy.keys), digest=split_digest(copy.keys, copy.labels))
            for split, copy in copies.items()
        },
        class_names=train.class_names,
        keyring_digest=keyring.digest(),
        digest=_UNKNOWN,
    )
    return draft.model_copy(update={"digest": draft.content_digest()}), keyring


def _synsets(origin: Origin, class_names: list[str]) -> list[str] | None:
    """Return the classes' WordNet ids: as told, their names, or as known of a base's namesakes."""
    if origin.wordnet_ids is not None:
        return origin.wordnet_ids
    if all(re.fullmatch(r"n\d{8}", name) for name in class_names):
        return class_names
    for name in (origin.id, (origin.part_of or "").split("/")[0]):
        try:
            known, _ = find_record(name)
        except UnknownName:
            continue
        if known.class_names == class_names:
            return known.wordnet_ids
    return None


def images(name: str, split: Split) -> Images:
    """Return one split of a pinned base in canonical order, whatever copy it is read from.

    Decoded pixels are kept in the cache folder and memory-mapped from there. Raises `BadData`,
    naming samples, if the copy at hand is not the pinned one.
    """
    base, _ = find_base(name)
    if base.several_sizes:
        raise BadData(
            f"{name} has images of several sizes: its files can be sharded, its pixels not be "
            "held; resize them to a base of one size to train on it here"
        )
    keyring = load_keyring(name)
    labels = keyring.labels[split].astype(np.int64)
    fingerprint = source[base.source].fingerprint(base, split)
    if fingerprint is None:
        copy, order = _resolved(base, keyring, split, source[base.source].read)
        return Images(copy.pixels[order], labels)
    stem = f"{split}-{hashlib.sha256(fingerprint.encode()).hexdigest()[:12]}.npy"
    # Under the keyring's digest, too: pixels are in its order.
    file = cache_folder() / f"{base.id}-{base.digest[:12]}-{base.keyring_digest[:12]}" / stem
    pixels = _cached(file)
    if pixels is None:
        copy, order = _resolved(base, keyring, split, source[base.source].read)
        _cache(file, copy.pixels[order])
        pixels = copy.pixels[order]
    return Images(pixels, labels)


def files(name: str, split: Split) -> Listing:
    """Return the files of a split in canonical order, each read when asked for (keyed by file).

    Raises `BadData`, naming samples, if the copy at hand is not the pinned one.
    """
    base, _ = find_base(name)
    found, order = _resolved(base, load_keyring(name), split, source[base.source].listing)
    rows = order.tolist()
    return replace(
        found,
        keys=[found.keys[row] for row in rows],
        labels=found.labels[order],
        names=[found.names[row] for row in rows],
        kinds=[found.kinds[row] for row in rows],
        content=lambda position: found.content(rows[position]),
    )


def encoded(name: str, split: Split) -> list[bytes]:
    """Return the files of a split as they came, in canonical order: all of them, in memory."""
    found = files(name, split)
    return [found.content(position) for position in range(len(found.keys))]


def _in_order(copy: Copy | Listing) -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
    order = canonical_order(copy.keys, copy.labels)
    return short(copy.keys)[order], copy.labels[order].astype(np.uint16)


def _resolved(
    base: Base, keyring: Keyring, split: Split, read: Callable[[Origin, Split], Read]
) -> tuple[Read, NDArray[np.int64]]:
    copy = read(base, split)
    if copy.class_names != base.class_names:
        raise BadData(f"this copy of {base.id} names other classes than the pinned one")
    order = resolve(
        keyring,
        split,
        copy.keys,
        copy.labels,
        copy.names,
        digest=base.splits[split].digest,
        where=f"this copy of {base.id}",
    )
    return copy, order


def _cached(file: Path) -> NDArray[np.uint8] | None:
    """Return the cached array if it is there and whole (its sha256 lies beside it)."""
    sums = file.with_suffix(".sha256")
    if not (file.is_file() and sums.is_file()):
        return None
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != sums.read_text():
            return None
    pixels: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return pixels


def _cache(file: Path, pixels: NDArray[np.uint8]) -> None:
    with staged(file) as draft:
        with draft.open("wb") as out:
            np.save(out, pixels)
        with draft.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    write_whole(file.with_suffix(".sha256"), digest.encode())
