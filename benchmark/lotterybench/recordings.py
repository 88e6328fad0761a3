"""Recorded proxy trainings on disk: what they are of, their columns, and the signals they give.

A recording is a folder: `recording.json` (written last), `epochs.parquet` (one row group per
epoch, samples in the order of the keyring) and one `.npy` file per array. A recorded set names
the recordings of several seeds, and for each seed of the folds that its samples were held out in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from lotterybench.errors import BadRecord, BadRequest, UnknownName
from lotterybench.paths import signals_folder
from lotterybench.records import Base, Proxy, Record, Sha256, Slug, sha256_of
from lotterybench.registry import unknown
from lotterybench.signals import EPOCHS, SAMPLES, missing
from lotterybench.storage import write_whole


class Recording(Record):
    """One recorded training: on all samples (`fold` None), or without those of a fold.

    `columns` gives the sha256 of each column's name, dtype, shape and bytes.
    """

    schema_version: Literal[1]
    base: Slug
    base_digest: Sha256
    keyring_digest: Sha256
    proxy: Proxy
    seed: int = Field(ge=0)
    fold: int | None = None
    folds: int = Field(ge=0)
    columns: dict[str, Sha256]
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str
    software: dict[str, str]
    code_digest: Sha256

    def content(self) -> str:
        """Return the digest of what was recorded, wherever and with whichever software."""
        return sha256_of(self.fields(without=frozenset({"device", "software", "code_digest"})))


class Recorded(Record):
    """A set of recordings of one proxy on one base, that selectors read as one.

    `parts` gives, for each folder of a recording, the digest of its content; the first seed's
    whole recording comes first. `digest` covers all other fields.
    """

    schema_version: Literal[1]
    base: Slug
    base_digest: Sha256
    keyring_digest: Sha256
    proxy: Proxy
    seeds: list[int] = Field(min_length=1)
    folds: int = Field(ge=0)
    parts: dict[str, Sha256]
    digest: Sha256

    def true_digest(self) -> str:
        """Return what `digest` must be."""
        return sha256_of(self.fields(without=frozenset({"digest"})))

    def images(self, rows: int) -> int:
        """Return how many training images it took on a split of so many rows.

        Each seed trains on all samples and, with f folds, on all but each of them once.
        """
        return self.proxy.epochs * rows * len(self.seeds) * max(1, self.folds)


class Stored:
    """The signals of a recorded set, read from its folder when they are asked for."""

    def __init__(self, recorded: Recorded, folder: Path) -> None:
        self.recorded = recorded
        self.folder = folder

    @cached_property
    def parts(self) -> list[tuple[Path, Recording]]:
        """The recordings with their folders; raises `BadRecord` for one that was changed."""
        found = []
        for name, digest in self.recorded.parts.items():
            file = self.folder / name / "recording.json"
            if not file.is_file():
                raise BadRecord(f"{file} is missing: record the signals again")
            recording = Recording.read(file.read_bytes(), str(file))
            if recording.content() != digest:
                raise BadRecord(f"{file} is not the recording that {self.recorded.digest} names")
            found.append((file.parent, recording))
        return found

    def of(self, fold: Literal["whole", "held"], seed: int) -> list[tuple[Path, Recording]]:
        """Return the recordings of a seed: on all samples, or one per fold."""
        whole = fold == "whole"
        return [(p, r) for p, r in self.parts if r.seed == seed and (r.fold is None) == whole]

    def names(self) -> list[str]:
        """Return the names of the signals that are there."""
        held = self.recorded.folds > 0
        first = self.of("whole", self.recorded.seeds[0])[0][1].columns
        made = {
            "held_out": held and "probabilities" in first,
            "deepfool": held and "probabilities" in first,
            "split_embedding": held,
            "split_probabilities": held and "probabilities" in first,
            "validation": held,
        }
        return [name for name in (*EPOCHS, *SAMPLES) if made.get(name, name in first)]

    def epochs(self, name: str) -> Sequence[NDArray[np.generic]]:
        """Return a per-epoch signal as (E, N), one array per seed."""
        if name not in EPOCHS or name not in self.names():
            raise missing(name, self.names())
        found = [self.of("whole", seed)[0] for seed in self.recorded.seeds]
        return [_epochs(folder, recording, name) for folder, recording in found]

    def samples(self, name: str) -> NDArray[np.generic]:
        """Return a per-sample signal as (N,) or (N, d)."""
        if name not in SAMPLES or name not in self.names():
            raise missing(name, self.names())
        seeds = self.recorded.seeds
        if name == "held_out":
            return _mean(self.held_out(seed) for seed in seeds)
        if name == "deepfool":
            return _mean(self._joined("deepfool", seed) for seed in seeds)
        if name == "grand":
            return _mean(_array(*self.of("whole", seed)[0], "grand") for seed in seeds)
        if name == "validation":
            return _array(*self.of("held", seeds[0])[0], "held")
        if name.startswith("split_"):
            return _array(*self.of("held", seeds[0])[0], name.removeprefix("split_"))
        return _array(*self.of("whole", seeds[0])[0], name)

    def methods(self, name: str) -> Sequence[NDArray[np.generic]]:
        """Raise `BadRequest`: a recorded set is of one configuration, not of a choose pool."""
        raise missing(name, self.names())

    def held_out(self, seed: int) -> NDArray[np.float16]:
        """Return what one seed's networks say of the samples held out from them, (N, C)."""
        return self._joined("probabilities", seed)

    def _joined(self, name: str, seed: int) -> NDArray[Any]:
        """Return an array of which each fold's network gives the rows that it did not train on."""
        whole: NDArray[Any] | None = None
        for folder, recording in self.of("held", seed):
            values, held = _array(folder, recording, name), _array(folder, recording, "held")
            whole = np.full(values.shape, np.nan, np.float16) if whole is None else whole
            whole[held] = values[held]
        assert whole is not None
        return whole


def column_digest(name: str, values: NDArray[Any]) -> str:
    """Return the sha256 of a column: its name, dtype, shape and little-endian bytes."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{name}\0{little.dtype.str}\0{values.shape}\0".encode())
    digest.update(little.data)
    return digest.hexdigest()


def save_recorded(recorded: Recorded) -> Path:
    """Write a recorded set beside its recordings; return its file."""
    file = signals_folder() / recorded.base / f"{recorded.digest[:16]}.json"
    write_whole(file, recorded.pretty())
    return file


def recorded_sets(base: str) -> list[Recorded]:
    """Return the sets that are recorded of a base here, by digest."""
    files = sorted((signals_folder() / base).glob("*.json"))
    return [Recorded.read(file.read_bytes(), str(file)) for file in files]


def find_signals(base: str, name: str | None, reads: Iterable[str] = ()) -> Stored:
    """Return the recorded set whose digest begins with `name`.

    Without a name it is the only set that has all signals of `reads`; `BadRequest` says what
    there is if none has, or several have.
    """
    folder, there = signals_folder() / base, recorded_sets(base)
    if name is not None:
        chosen = [one for one in there if one.digest.startswith(name)]
        if len(chosen) != 1:
            raise UnknownName(f"{unknown('recorded set', name, _labels(there))}")
        return Stored(chosen[0], folder)
    fit = [one for one in there if set(reads) <= set(Stored(one, folder).names())]
    if len(fit) == 1:
        return Stored(fit[0], folder)
    needs = ", ".join(reads)
    if not fit:
        known = f"; those recorded are {', '.join(_labels(there))}" if there else ""
        raise BadRequest(
            f"no signals of {base} with {needs} are recorded here{known}; "
            f"run `lotterybench signals {base} --proxy supervised`"
        )
    raise BadRequest(
        f"several recorded sets of {base} have {needs}: give one as --signals: "
        f"{', '.join(_labels(fit))}"
    )


def check_base(recorded: Recorded, base: Base) -> None:
    """Raise `BadRequest` if a set was recorded of another copy or keyring than the base at hand."""
    for what, theirs, ours in (
        ("base", recorded.base_digest, base.digest),
        ("keyring", recorded.keyring_digest, base.keyring_digest),
    ):
        if theirs != ours:
            raise BadRequest(
                f"the signals {recorded.digest[:16]} are of another {what} ({theirs[:12]}…) than "
                f"the {base.id} at hand ({ours[:12]}…); record them again"
            )


def _labels(sets: Iterable[Recorded]) -> list[str]:
    return [f"{one.digest[:16]} ({_label(one)})" for one in sets]


def _label(of: Recorded) -> str:
    """Return a proxy in a few words; of an arm of a study, with its name."""
    config = of.proxy.config
    arm = f"{config['arm']} of {config['study']}, " if "arm" in config else ""
    return f"{arm}{of.proxy.label()}, {len(of.seeds)} seeds"


def _epochs(folder: Path, recording: Recording, name: str) -> NDArray[Any]:
    file = folder / "epochs.parquet"
    try:
        table = pq.read_table(file, columns=[name])
    except (OSError, ValueError) as error:
        raise BadRecord(f"{file} cannot be read: {error}") from None
    values = table[name].combine_chunks().to_numpy(zero_copy_only=False)
    values = values.reshape(recording.proxy.epochs, -1)
    return _checked(file, recording, name, values)


def _array(folder: Path, recording: Recording, name: str) -> NDArray[Any]:
    file = folder / f"{name}.npy"
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadRecord(f"{file} cannot be read: {error}") from None
    return _checked(file, recording, name, values)


def _checked(file: Path, recording: Recording, name: str, values: NDArray[Any]) -> NDArray[Any]:
    if recording.columns.get(name) != column_digest(name, values):
        raise BadRecord(f"{file} was changed: {name} does not have the recorded sha256")
    return values


def _mean(arrays: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    found = [values.astype(np.float32) for values in arrays]
    mean: NDArray[np.float32] = np.mean(found, axis=0)
    return mean
