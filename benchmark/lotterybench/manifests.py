"""Bases and subset manifests on disk: finding, reading, writing and checking them."""

import io
import json
import re
from functools import lru_cache
from numbers import Integral
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lotterybench.errors import BadData, BadRecord, BadRequest, UnknownName
from lotterybench.keyrings import Keyring
from lotterybench.keyrings import load as read_keyring
from lotterybench.keyrings import save as write_keyring
from lotterybench.paths import (
    base_file,
    keyring_file,
    manifest_file,
    positions_file,
    subset_roots,
)
from lotterybench.records import AFTERWARDS, Base, Declared, Subset, parse_ref
from lotterybench.registry import unknown
from lotterybench.storage import write_whole
from lotterybench.streams import digest_of_epoch, positions_of_epoch
from lotterybench.validity import Columns, problems


def bases() -> list[str]:
    """Return the ids of all bases that are pinned or declared here."""
    return sorted(
        {file.parent.name for root in subset_roots() for file in root.glob("*/base.json")}
    )


def find_base(name: str) -> tuple[Base, Path]:
    """Return a pinned base and the root folder that holds it; `BadData` if it is only declared."""
    base, root = find_record(name)
    return pinned(base), root


def find_record(name: str) -> tuple[Base | Declared, Path]:
    """Return a base, pinned or only declared, and the root folder that holds it."""
    for root in subset_roots():
        file = base_file(root, name)
        if file.is_file():
            return load_record(file), root
    raise unknown("base", name, bases())


def pinned(base: Base | Declared) -> Base:
    """Return a base whose images are known; raise `BadData` for one that is only declared."""
    if isinstance(base, Declared):
        raise BadData(
            f"{base.id} is declared only: pin it with `lotterybench base` where the data are"
        )
    return base


def load_base(file: Path) -> Base:
    """Read the record of a pinned base and check its digest."""
    return pinned(load_record(file))


def load_record(file: Path) -> Base | Declared:
    """Read the record of a base, pinned or only declared, and check its digest."""
    text = file.read_bytes()
    kind = Declared if _declared(text) else Base
    base = kind.read(text, str(file))
    if file.parent.name != base.id:
        raise BadRecord(f"{file} is the record of {base.id}, in another one's place")
    if base.content_digest() != base.digest:
        raise BadRecord(
            f"{file}: digest is {base.digest}, its content gives {base.content_digest()}"
        )
    return base


def _declared(text: bytes) -> bool:
    """Say whether a record has nothing that only pinning gives."""
    try:
        fields = json.loads(text)
    except ValueError:
        return False
    return isinstance(fields, dict) and not {"splits", "keyring_digest"} & set(fields)


def load_keyring(name: str) -> Keyring:
    """Read the keyring of a pinned base and check its digest against the record."""
    base, root = find_base(name)
    file = keyring_file(root, name)
    state = file.stat() if file.is_file() else None
    keyring, digest = _keyring(file, state and (state.st_mtime_ns, state.st_size, state.st_ino))
    if digest != base.keyring_digest:
        raise BadRecord(f"{file} does not have the digest that {name}'s base.json names")
    return keyring


@lru_cache(maxsize=8)
def _keyring(file: Path, state: tuple[int, ...] | None) -> tuple[Keyring, str]:
    """Return a file's keyring and its digest; `state` changes when the file does."""
    keyring = read_keyring(file)
    return keyring, keyring.digest()


def save_base(base: Base, keyring: Keyring, root: Path) -> Path:
    """Write a base's record and keyring below `root`; return the record's path.

    A base that is pinned there with another content is not replaced (`BadRecord`): its subsets
    hang on it. One that was only declared is replaced if it has the same classes.
    """
    file = base_file(root, base.id)
    if file.is_file():
        there = load_record(file)
        if isinstance(there, Declared) and there.class_names != base.class_names:
            raise BadRecord(f"{file} declares other classes; give another name with --id")
        if isinstance(there, Base) and there.digest != base.digest:
            raise BadRecord(
                f"{file} pins another {base.id}; give another name with --id, or another --out"
            )
    write_keyring(keyring, keyring_file(root, base.id))
    write_whole(file, base.pretty())
    return file


def subsets(base: str | None = None) -> list[str]:
    """Return all manifests known here as `base/name@version`, in order."""
    found = {
        (file.parent.parent.name, file.parent.name, int(file.stem[1:]))
        for root in subset_roots()
        for file in root.glob("*/*/v*.json")
        if re.fullmatch(r"v\d+", file.stem)
    }
    return [f"{b}/{name}@{v}" for b, name, v in sorted(found) if base in (None, b)]


def find_manifest(ref: str, beside: Path | None = None) -> Path:
    """Return the manifest file of `base/name` (newest version), `base/name@2`, or a path.

    `beside` is a folder of further manifests, for references with a version that are unknown else.
    """
    path = Path(ref)
    if path.suffix == ".json":
        if not path.is_file():
            raise BadRecord(f"there is no manifest {ref}")
        return path
    name, version = parse_ref(ref)
    if version is not None:  # no need to list the thousand others
        for root in (*subset_roots(), *([beside] if beside else [])):
            if (file := manifest_file(root, name, version)).is_file():
                return file
    known = [other for other in subsets() if other.split("@")[0] == name]
    if version is None and known:
        version = max(int(other.split("@")[1]) for other in known)
    if version is None or f"{name}@{version}" not in known:
        every = subsets() if "@" in ref else sorted({other.split("@")[0] for other in subsets()})
        hint = " (LOTTERYBENCH_SUBSETS names folders of your own)"
        raise UnknownName(f"{unknown('subset', ref, every)}{hint}")
    return next(
        file for root in subset_roots() if (file := manifest_file(root, name, version)).is_file()
    )


def load_subset_manifest(
    ref: str | Path, beside: Path | None = None
) -> tuple[Subset, NDArray[np.int64] | None]:
    """Return a manifest and its positions (None for a class list), fully checked.

    `beside` is a folder of further manifests, as `find_manifest` takes it.
    Raises `BadRecord` in one line that names every fault, and `BadRequest` for a stream, which
    has other positions in every epoch.
    """
    subset, columns = _checked(ref, beside)
    if subset.stream is not None:
        raise BadRequest(
            f"{subset.ref} is a stream, redrawn every epoch; this takes a fixed subset, of kind "
            "samples or classes (protocol §10)"
        )
    return subset, None if columns is None else columns["position"].astype(np.int64)


def load_drawn(
    ref: str | Path, epoch: int | None = None
) -> tuple[Subset, NDArray[np.int64] | None]:
    """Return a manifest of any kind and its positions; of a stream those of an epoch (default: 0).

    Class lists have None for positions. Raises `BadRecord` as `load_subset_manifest` does, and
    `BadRequest` for an epoch of a fixed subset, or one that is no number from 0.
    """
    subset, columns = _checked(ref)
    if subset.stream is None:
        if epoch is not None:
            raise BadRequest(
                f"{subset.ref} is of kind {subset.kind}: it is the same in every epoch; "
                "leave epoch out"
            )
        return subset, None if columns is None else columns["position"].astype(np.int64)
    number = epoch or 0
    if not isinstance(number, Integral):
        raise BadRequest(f"an epoch is a whole number, not {epoch!r}")
    assert subset.budget.fraction is not None
    keys = load_keyring(subset.base).keys["train"]
    positions = positions_of_epoch(keys, subset.seed, subset.budget.fraction, number)
    listed = subset.stream.epochs
    if number < len(listed) and digest_of_epoch(positions) != listed[number]:
        raise BadRecord(f"{subset.ref}: epoch {number} does not have the digest that is listed")
    return subset, positions


def _checked(ref: str | Path, beside: Path | None = None) -> tuple[Subset, Columns | None]:
    file = find_manifest(str(ref), beside)
    subset = Subset.read(file.read_bytes(), str(file))
    if file != Path(ref) and subset.ref != f"{parse_ref(str(ref))[0]}@{file.stem[1:]}":
        raise BadRecord(f"{file} is the manifest of {subset.ref}, in another one's place")
    columns = load_positions(file) if subset.positions else None
    base, _ = find_record(subset.base)
    keyring = load_keyring(base.id) if isinstance(base, Base) else None
    faults = problems(subset, columns, base, keyring)
    if faults:
        raise BadRecord(f"{file}: {'; '.join(faults)}")
    return subset, columns


def save_manifest(subset: Subset, columns: Columns | None, root: Path) -> Path:
    """Write a manifest and its positions below `root`; refuse to change a released version."""
    file = manifest_file(root, subset.id, subset.version)
    if file.is_file():
        there = Subset.read(file.read_bytes(), str(file))
        apart = AFTERWARDS | {
            "created_with"
        }  # the same selection made by newer software is no news
        if there.fields(without=apart) != subset.fields(without=apart):
            raise BadRecord(
                f"{file} exists and selects something else; a change is a new version: "
                f"give --version {subset.version + 1}"
            )
        return file
    if columns is not None:
        buffer = io.BytesIO()
        table = pa.table({name: np.asarray(values) for name, values in columns.items()})
        # Bytes of equal weight side by side: half the size of a dictionary of unique numbers.
        # What is yes or no is bits already.
        numbers = [name for name in columns if np.asarray(columns[name]).dtype != bool]
        pq.write_table(
            table, buffer, compression="zstd", write_statistics=False, store_schema=False,
            use_dictionary=False, column_encoding=dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),
        )  # fmt: skip
        write_whole(positions_file(file), buffer.getvalue())
    write_whole(file, subset.pretty())
    return file


def load_positions(manifest: Path) -> dict[str, NDArray[np.generic]]:
    """Return the columns of the positions file beside a manifest, in the selector's order."""
    file = positions_file(manifest)
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise BadRecord(f"{file} cannot be read: {error}") from None
    if "position" not in table.column_names or not pa.types.is_integer(
        table.schema.field("position").type
    ):
        raise BadRecord(f"{file} has no column position of whole numbers")
    return {name: table[name].to_numpy() for name in table.column_names}
