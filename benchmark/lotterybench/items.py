"""Test items: of each run on full data, the classes that outrank the true one on every test image.

A run is right on an image iff no class outranks the true one and, told apart from some classes
only, iff none of these does: so single items and every class subset's test follow from one file.
"""

import base64
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lotterybench.errors import BadResults
from lotterybench.manifests import find_base, load_keyring
from lotterybench.paths import items_file, items_folder
from lotterybench.storage import write_whole
from lotterybench.trials import Result, Track

ABOUT = b"lotterybench"
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Items:
    """What runs say of each test image of a base, in canonical order.

    `labels` int64 (T,) are the true classes, of `classes` in all. `outranked` has, by run key,
    uint8 (T, ⌈classes / 8⌉): a bit for each class that outranks the true one, as `packed` lays
    them.
    """

    labels: NDArray[np.int64]
    classes: int
    outranked: Mapping[str, Bits]

    def right(self, key: str, among: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Return whether a run is right on each test image of some classes, told apart alone.

        All classes by default.
        """
        if among is None:
            among = range(self.classes)
        places = np.isin(self.labels, among)
        return none_of(self.outranked[key][places], among, self.classes)


def packed(outranking: NDArray[np.bool_]) -> Bits:
    """Return uint8 (T, ⌈C / 8⌉) of bool (T, C): class 0 is the highest bit of the first byte."""
    return np.packbits(outranking, axis=1)


def none_of(outranked: Bits, among: Sequence[int], classes: int) -> NDArray[np.bool_]:
    """Return, of packed bits (T, ⌈classes / 8⌉), which images (T,) no class among some outranks."""
    mask = np.zeros((1, classes), dtype=np.bool_)
    mask[0, among] = True
    above = np.zeros(len(outranked), np.uint8)
    for byte, bits in enumerate(packed(mask)[0]):  # four times as fast as reducing along rows
        if bits:
            above |= outranked[:, byte] & bits
    nothing: NDArray[np.bool_] = above == 0
    return nothing


def keep(results: Path, key: str, outranked: Bits) -> None:
    """Write one run's bits into a track's folder of results, where `join` finds them.

    Called before the run's result is written, so that a result has its items.
    """
    buffer = io.BytesIO()
    np.save(buffer, outranked)
    write_whole(items_folder(results) / f"{key}.npy", buffer.getvalue())


def join(results: Path, track: Track, full: Sequence[Result]) -> None:
    """Put the items of runs on full data into one file, in the order of their results.

    Rows that are there already are kept; what was kept of single runs is removed afterwards.
    Nothing happens if nothing was kept. Raises `BadResults` for a file that cannot be joined.
    """
    pending = items_folder(results)
    if not pending.is_dir():
        return
    there = read_items(results, track)
    rows = dict(there.outranked) if there else {}
    labels, classes = _tested(track)
    for file in sorted(pending.glob("*.npy")):
        rows[file.stem] = _read_run(file, (len(labels), -(-classes // 8)))
    ordered = {run.key: rows[run.key] for run in full if run.key in rows and run.status == "ok"}
    if ordered:
        _write(items_file(results), track, Items(labels, classes, ordered))
    shutil.rmtree(pending)


def read_items(results: Path, track: Track) -> Items | None:
    """Return the items in a track's folder of results, None if it has none.

    Raises `BadResults` for a file that is damaged, or of another pool or base.
    """
    path = items_file(results)
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[ABOUT])
        digests = about["track_digest"], about["base_digest"]
        found = np.frombuffer(base64.b64decode(about["labels"]), dtype="<u2").astype(np.int64)
        keys, rows = table["key"].to_pylist(), table["outranked"]
        bits = [np.frombuffer(row.as_py(), np.uint8).reshape(len(found), -1) for row in rows]
        classes = int(about["classes"])
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        line = str(error).partition("\n")[0]
        raise BadResults(f"{path} cannot be read as test items: {line}") from None
    labels, expected = _tested(track)
    if digests != (track.digest(), find_base(track.base)[0].digest):
        raise BadResults(f"{path} is of another {track.name}, or of another {track.base}")
    whole = classes == expected and np.array_equal(labels, found)
    if (
        not whole
        or len(set(keys)) < len(keys)
        or {row.shape[1] for row in bits} != {-(-classes // 8)}
    ):
        raise BadResults(f"{path} is not one row per run, with the test images of {track.base}")
    return Items(labels, classes, dict(zip(keys, bits, strict=True)))


def _tested(track: Track) -> tuple[NDArray[np.int64], int]:
    """Return the labels of a track's test images, in canonical order, and the number of classes."""
    labels = load_keyring(track.base).labels["test"].astype(np.int64)
    return labels, len(find_base(track.base)[0].class_names)


def _read_run(file: Path, shape: tuple[int, int]) -> Bits:
    try:
        found: Bits = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadResults(f"{file} cannot be read as a run's items: {error}") from None
    if found.dtype != np.uint8 or found.shape != shape:
        raise BadResults(f"{file} is {found.dtype} {found.shape}, not uint8 {shape}")
    return found


def _write(path: Path, track: Track, items: Items) -> None:
    """Write items so that equal ones have equal bytes; the file appears whole."""
    about = {
        "track": track.name, "track_digest": track.digest(), "metric": track.metric,
        "base_digest": find_base(track.base)[0].digest, "classes": items.classes,
        "labels": base64.b64encode(items.labels.astype("<u2").tobytes()).decode(),
    }  # fmt: skip
    table = pa.table(
        {
            "key": pa.array(list(items.outranked)),
            "outranked": pa.array([row.tobytes() for row in items.outranked.values()], pa.binary()),
        }
    ).replace_schema_metadata({ABOUT: json.dumps(about, sort_keys=True).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=False, write_statistics=False)
    write_whole(path, buffer.getvalue())
