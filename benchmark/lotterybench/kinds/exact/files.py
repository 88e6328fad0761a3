"""Files of an enumeration: one Parquet row per subset and configuration, provenance once."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lotterybench.errors import BadResults
from lotterybench.storage import write_whole
from lotterybench.trials import Cheaper

ABOUT = b"lotterybench"
Counts = NDArray[np.uint16]


class Exact(NamedTuple):
    """All results of one number of classes, or of a cheaper arm on all of them.

    `subsets` (S,) has a bit per class. `correct` and `totals` (S, configurations, seeds) count
    test images; of a model that gave numbers that are not finite, none is correct. `about` is
    where the results come from. Of full data, `outranked` (configurations, repeats, images) has,
    for every image of the base, a bit for each class that the model tested on it ranks above the
    true one, and `labels` (images,) are the true ones.
    """

    configurations: list[str]
    families: list[str]
    subsets: NDArray[np.uint16]
    correct: Counts
    totals: Counts
    about: dict[str, str]
    outranked: Counts | None = None
    labels: NDArray[np.int64] | None = None


def exact_file(folder: Path, count: int, arm: Cheaper | None = None) -> Path:
    """Return the file of all subsets of `count` classes in a track's folder of results.

    With all classes, that is full data, or a cheaper arm on them.
    """
    return folder / f"{part_name(count, arm)}.parquet"


def part_name(count: int, arm: Cheaper | None = None) -> str:
    """Return what a part of an enumeration is called: by its arm, or its number of classes."""
    return str(arm) if arm else f"classes-{count}"


def write_exact(path: Path, found: Exact) -> None:
    """Write results so that equal ones have equal bytes; the file appears whole."""
    subsets, configurations, seeds = found.correct.shape
    columns = {
        "subset": np.repeat(found.subsets.astype(np.uint16), configurations),
        "configuration": pa.array(found.configurations * subsets),
        "correct": _lists(found.correct, seeds),
        "total": _lists(found.totals, seeds),
    }
    about = {**found.about, "configurations": found.configurations, "families": found.families}
    if found.outranked is not None and found.labels is not None:
        columns["outranked"] = _lists(found.outranked, found.outranked[0].size)
        about["labels"] = found.labels.tolist()
    table = pa.table(columns)
    stated = json.dumps(about, sort_keys=True, ensure_ascii=False)
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata({ABOUT: stated.encode()}), buffer, compression="zstd",
        use_dictionary=["configuration"], write_statistics=False,
    )  # fmt: skip
    write_whole(path, buffer.getvalue())


def _lists(counts: Counts, seeds: int) -> pa.ListArray:
    offsets = np.arange(0, counts.size + 1, seeds, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, counts.astype(np.uint16).ravel())


def read_exact(path: Path) -> Exact:
    """Return the results in a file; raise `BadResults` if it is none, damaged or out of order."""
    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[ABOUT])
        configurations, families = about.pop("configurations"), about.pop("families")
        shape = (-1, len(configurations))
        subsets = table["subset"].to_numpy().reshape(shape)
        names = np.array(table["configuration"].to_pylist()).reshape(shape)
        correct, totals = (_counts(table[name], shape) for name in ("correct", "total"))
        labels, outranked = about.pop("labels", None), None
        if labels is not None:
            labels = np.array(labels, np.int64)
            bits = _counts(table["outranked"], (len(configurations),))
            outranked = bits.reshape(len(configurations), -1, len(labels))
    except FileNotFoundError:
        raise BadResults(f"there is no file {path}; run the track first") from None
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise BadResults(f"{path} cannot be read as an enumeration: {error}") from None
    in_order = bool((np.diff(subsets[:, 0].astype(np.int64)) > 0).all())
    if not in_order or (names != configurations).any() or (subsets != subsets[:, :1]).any():
        raise BadResults(f"{path} is not one row per subset and configuration, in order")
    if correct.shape != totals.shape or (correct > totals).any():
        raise BadResults(f"{path} counts more images as correct than were tested")
    return Exact(configurations, families, subsets[:, 0], correct, totals, about, outranked, labels)


def _counts(column: pa.ChunkedArray, shape: tuple[int, ...]) -> Counts:
    lists = column.combine_chunks()
    lengths = set(np.diff(lists.offsets.to_numpy()).tolist())
    if len(lengths) != 1:
        raise ValueError("rows have different numbers of seeds")
    flat: Counts = lists.flatten().to_numpy().astype(np.uint16)
    return flat.reshape(*shape, lengths.pop())


def check_same(there: Exact, about: dict[str, str], path: Path) -> None:
    """Raise `BadResults` if a file's results were not made as those that are to join them."""
    for field in sorted({*there.about, *about}):
        was, is_now = there.about.get(field), about.get(field)
        if was != is_now:
            raise BadResults(
                f"{path} has {field} {was}, here it is {is_now}; results of different origin are "
                "not joined: give another --out"
            )


def side_by_side(parts: Sequence[Exact]) -> Exact:
    """Return results of the same subsets and configurations with all their seeds, in order."""
    first = parts[0]
    return first._replace(
        correct=np.concatenate([part.correct for part in parts], 2),
        totals=np.concatenate([part.totals for part in parts], 2),
        outranked=_joined(parts),
    )


def one_above_the_other(parts: Sequence[Exact]) -> Exact:
    """Return results of the same subsets and seeds with all their configurations, in order."""
    return parts[0]._replace(
        configurations=[name for part in parts for name in part.configurations],
        families=[name for part in parts for name in part.families],
        correct=np.concatenate([part.correct for part in parts], 1),
        totals=np.concatenate([part.totals for part in parts], 1),
        outranked=_joined(parts, 0),
    )


def _joined(parts: Sequence[Exact], axis: int = 1) -> Counts | None:
    found = [part.outranked for part in parts if part.outranked is not None]
    return np.concatenate(found, axis) if found else None
