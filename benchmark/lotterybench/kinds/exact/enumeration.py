"""Enumerating a track's subsets: chunks that have no results are done, files that lack them made.

A chunk's results lie in `.chunks/` until all of its part are there; then they become
one file. Whatever interrupts it, the files end with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lotterybench.errors import BadRequest
from lotterybench.kinds.exact.files import (
    Exact,
    check_same,
    exact_file,
    one_above_the_other,
    part_name,
    read_exact,
    side_by_side,
    write_exact,
)
from lotterybench.kinds.exact.plan import (
    FOLDS,
    Chunk,
    check_pool,
    chunks_of,
    counts_of,
    repeats_of,
    subsets_of,
)
from lotterybench.kinds.exact.training import Outcome, Pool, load_pool
from lotterybench.kinds.exact.workers import carry_out
from lotterybench.kinds.ranking import device_name
from lotterybench.manifests import find_base
from lotterybench.paths import chunks_folder
from lotterybench.progress import bar
from lotterybench.provenance import code_digest, versions
from lotterybench.records import Base
from lotterybench.storage import locked
from lotterybench.trials import Cheaper, Track

CODE = ("kinds/exact/*.py", "methods/base/stacked/*.py")


class Enumerated(NamedTuple):
    """What one call did: models planned, models whose results were there, models trained now."""

    folder: Path
    planned: int
    before: int
    trained: int


class Left(NamedTuple):
    """One part: a number of classes, or a cheaper arm on all; and what has no results yet."""

    size: int
    arm: Cheaper | None
    repeats: int
    planned: int
    chunks: list[Chunk]

    @property
    def name(self) -> str:
        """The part's name, which its file has too."""
        return part_name(self.size, self.arm)

    def models(self, base: Base) -> int:
        """Return how many models are left to train."""
        return sum(chunk.models(len(base.class_names)) for chunk in self.chunks)


def enumerate_subsets(
    track: Track, out: Path, *, seeds: int | None = None, counts: Sequence[int] | None = None,
    jobs: int | None = None,
) -> Enumerated:  # fmt: skip
    """Train every configuration on every class subset, and on full data, in `out/<track>/`.

    So are the cheaper arms on full data. `counts` restricts the subsets to some numbers of
    classes; `seeds` overrides the track's for all but full data and is a multiple of three.
    Results do not depend on the number of worker processes, `jobs`. May be interrupted in any way
    and repeated, and repeated with more seeds. Raises `BadRequest` for seeds or counts that cannot
    be, `BadResults` if results of another origin are there, and `Busy` if another process writes
    them. A script that calls this guards it by `if __name__ == "__main__"`, since workers import
    it.
    """
    if jobs is not None and jobs < 1:
        raise BadRequest(f"{jobs} worker processes were asked for; take at least 1")
    base, folder = find_base(track.base)[0], out / track.name
    about = provenance(track, base)
    plan_of(track, out, seeds=seeds, counts=counts)  # refuses before anything is written
    with locked(folder / "classes"):
        parts = plan_of(track, out, seeds=seeds, counts=counts)
        planned = sum(part.planned for part in parts)
        todo = [chunk for part in parts for chunk in part.chunks]
        missing = {part.name: len(part.chunks) for part in parts}
        pool = load_pool(track) if todo else None
        for part in parts:
            if not part.chunks:
                _join(track, base, folder, part, about)
        done = bar(carry_out(todo, pool, jobs) if pool else (), len(todo), "training")
        for chunk, found in done:
            assert pool is not None
            _keep(folder, pool, chunk, found, about)
            part = next(part for part in parts if part.name == part_name(chunk.size, chunk.arm))
            missing[part.name] -= 1
            if not missing[part.name]:
                _join(track, base, folder, part, about)
    now = sum(part.models(base) for part in parts)
    return Enumerated(folder, planned, planned - now, now)


def plan_of(
    track: Track, out: Path, *, seeds: int | None = None, counts: Sequence[int] | None = None
) -> list[Left]:
    """Return what is planned and what is left of each part, in the order of work."""
    check_pool(track)
    base, folder = find_base(track.base)[0], out / track.name
    about, found = provenance(track, base), []
    full, *sizes = counts_of(base, counts)
    arms: list[tuple[int, Cheaper | None]] = [(full, None)]
    arms += [(full, arm) for arm in track.cheaper]
    for count, arm in [*arms, *((size, None) for size in sizes)]:
        repeats = repeats_of(track, count == full and arm is None, seeds)
        there = _there(exact_file(folder, count, arm), about)
        every = chunks_of(track, base, count, range(repeats), arm)
        have = 0 if there is None else there.correct.shape[2] // FOLDS
        chunks = [
            chunk
            for chunk in chunks_of(track, base, count, range(have, repeats), arm)
            if not _has(_chunk_file(folder, chunk), about)
        ]
        planned = sum(chunk.models(len(base.class_names)) for chunk in every)
        found.append(Left(count, arm, repeats, planned, chunks))
    return found


def provenance(track: Track, base: Base) -> dict[str, str]:
    """Return what is written once in each file: what was run, by what code, on what."""
    return {
        "track": track.name,
        "track_version": str(track.version),
        "track_digest": track.digest(),
        "base": base.id,
        "base_digest": base.digest,
        "code_digest": code_digest(*CODE),
        "software": json.dumps(versions("numpy", "torch", "pyarrow"), sort_keys=True),
        "device": device_name("cpu"),
    }


def _there(file: Path, about: dict[str, str]) -> Exact | None:
    """Return the finished results of a part, None if there are none."""
    if not file.is_file():
        return None
    found = read_exact(file)
    check_same(found, about, file)
    return found


def _has(file: Path, about: dict[str, str]) -> bool:
    """Say whether a chunk has its results."""
    if not file.is_file():
        return False
    check_same(read_exact(file), about, file)
    return True


def _chunk_file(folder: Path, chunk: Chunk) -> Path:
    part = part_name(chunk.size, chunk.arm)
    return chunks_folder(folder) / part / f"{chunk.name}.parquet"


def _keep(folder: Path, pool: Pool, chunk: Chunk, found: Outcome, about: dict[str, str]) -> None:
    """Write a chunk's results."""
    subsets = np.array(subsets_of(len(pool.base.class_names), chunk.size), np.uint16)
    entry = chunk.configuration
    results = Exact(
        [entry.name], [entry.family], subsets, found.correct[:, None], found.totals[:, None], about
    )
    if found.outranked is not None:
        results = results._replace(outranked=found.outranked[None], labels=pool.labels)
    write_exact(_chunk_file(folder, chunk), results)


def _join(track: Track, base: Base, folder: Path, part: Left, about: dict[str, str]) -> None:
    """Make one file of a part from what is there of it and the chunks."""
    file = exact_file(folder, part.size, part.arm)
    there = _there(file, about)
    have = 0 if there is None else there.correct.shape[2] // FOLDS
    chunks = chunks_of(track, base, part.size, range(have, part.repeats), part.arm)
    if chunks:
        blocks = [
            one_above_the_other([read_exact(_chunk_file(folder, chunk)) for chunk in group])
            for group in _by_repeats(chunks, len(track.configurations))
        ]
        whole = side_by_side([*([there] if there else []), *blocks])
        write_exact(file, whole)
    shutil.rmtree(chunks_folder(folder) / part.name, ignore_errors=True)
    if chunks_folder(folder).is_dir() and not any(chunks_folder(folder).iterdir()):
        chunks_folder(folder).rmdir()


def _by_repeats(chunks: list[Chunk], configurations: int) -> list[list[Chunk]]:
    return [chunks[i : i + configurations] for i in range(0, len(chunks), configurations)]
