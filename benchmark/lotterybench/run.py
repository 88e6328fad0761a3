"""Running a track: what is planned and not yet done is done, by worker processes, and appended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest, BadResults, LotteryBenchError
from lotterybench.kinds import Done, Run, execute
from lotterybench.manifests import find_base, load_subset_manifest
from lotterybench.methods.base.recipe import settings_of
from lotterybench.paths import timings_file, track_file
from lotterybench.progress import bar
from lotterybench.records import Base, Subset
from lotterybench.results import append, arrange, check_joinable, mend, read, results_file
from lotterybench.sources import images
from lotterybench.storage import locked, write_whole
from lotterybench.tracks import find_track
from lotterybench.trials import Result, Track

# Device nodes of NVIDIA, of NVIDIA under WSL, and of AMD.
ACCELERATORS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))


@dataclass(frozen=True)
class Summary:
    """What one call did: runs planned, found done, done now, by status; and files set aside."""

    folder: Path
    planned: int
    before: int
    statuses: dict[str, int]
    torn: list[Path]


@dataclass(frozen=True)
class Arm:
    """All planned runs of one results file: those on full data (subset None) or on a subset."""

    file: Path
    subset: Subset | None
    runs: list[Run]


def plan(
    track: Track, out: Path, *, subsets: Sequence[str] | None = None, full: bool = True,
    only: Sequence[str] | None = None, seeds: int | None = None,
) -> list[Arm]:  # fmt: skip
    """Return the arms of a track: full data first, then each subset.

    `subsets` None means the track's own; `only` restricts to some configurations; `seeds`
    overrides the track's planned numbers.
    """
    base, _ = find_base(track.base)
    _check_track(track, base)
    names = [entry.name for entry in track.configurations]
    strange = sorted(set(only or ()) - set(names))
    if strange:
        raise BadRequest(
            f"{track.name} has no configuration {', '.join(strange)}; it has {', '.join(names)}"
        )
    entries = [entry for entry in track.configurations if not only or entry.name in only]
    wanted: list[tuple[Subset | None, NDArray[np.int64] | None]] = [(None, None)] if full else []
    for ref in track.subsets if subsets is None else subsets:
        subset, positions = load_subset_manifest(ref)
        if subset.base != track.base:
            raise BadRequest(f"{subset.ref} is no subset of {track.base}, the base of {track.name}")
        if any(other is not None and other.ref == subset.ref for other, _ in wanted):
            raise BadRequest(f"{subset.ref} is given twice")
        wanted.append((subset, positions))
    return [
        Arm(
            results_file(out / track.name, subset),
            subset,
            [
                Run(track, subset, positions, base.digest, entry, seed)
                for entry in entries
                for seed in range(seeds or (track.seeds.subset if subset else track.seeds.full))
            ],
        )
        for subset, positions in wanted
    ]


def run_track(
    name: str, out: Path, *, subsets: Sequence[str] | None = None, full: bool = True,
    only: Sequence[str] | None = None, seeds: int | None = None, device: str = "auto",
    jobs: int | None = None,
) -> Summary:  # fmt: skip
    """Do all planned runs of a track that have no result in `out/<track>/` yet.

    Each worker process uses one thread, so results do not depend on how many there are. May be
    interrupted in any way and repeated. Raises `Busy` if another process writes the same files. A
    script that calls this guards it by `if __name__ == "__main__"`, since workers import it.
    """
    track = find_track(name)
    device = choose_device(device)
    arms = plan(track, out, subsets=subsets, full=full, only=only, seeds=seeds)
    planned = {run.key: arm for arm in arms for run in arm.runs}
    folder = out / track.name
    _freeze(track, folder)
    with ExitStack() as locks:
        for arm in arms:
            locks.enter_context(locked(arm.file))
        torn = [
            aside
            for arm in arms
            for file in (arm.file, timings_file(arm.file))
            if (aside := mend(file)) is not None
        ]
        done = set()
        for arm in arms:
            there = read(arm.file)
            check_joinable(there, track, arm.subset, arm.file, arm.runs[0].base_digest)
            done |= {result.key for result in _without_infra(there, arm.file)}
        todo = [run for arm in arms for run in arm.runs if run.key not in done]
        statuses: dict[str, int] = {}
        for run, (result, seconds, _) in bar(
            _work(todo, device, jobs), len(todo), f"running {name}"
        ):
            file = planned[run].file
            append(file, result, seconds, timings_file(file))
            statuses[result.status] = statuses.get(result.status, 0) + 1
        for arm in arms:
            if arm.file.is_file():
                arrange(arm.file, track)
    return Summary(folder, len(planned), len(planned) - len(todo), statuses, torn)


def choose_device(device: str) -> str:
    """Return `cuda` or `cpu` for `auto`; refuse a device that is not there."""
    # torch takes seconds to import: where no driver's node is, there is nothing to ask it.
    if device == "cpu" or (device == "auto" and not any(map(Path.exists, ACCELERATORS))):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadRequest(f"device {device!r} cannot be used here ({reason}); try auto") from None
    return device


def _check_track(track: Track, base: Base) -> None:
    """Raise for what would fail in every run: an unknown method or setting, an odd resolution."""
    if track.resolution is not None and base.size[0] % track.resolution:
        raise BadRequest(
            f"{track.name} reduces to {track.resolution} pixels; that does not divide "
            f"{base.id}'s {base.size[0]}"
        )
    for entry in track.configurations:
        known = settings_of(entry.method)
        strange = sorted(set(entry.config) - set(known))
        if strange:
            raise BadRequest(
                f"{entry.name}: {entry.method} has no setting {', '.join(strange)}; "
                f"it has {', '.join(known)}"
            )


def _freeze(track: Track, folder: Path) -> None:
    """Write the track's record beside its results; refuse results of another version of it."""
    file = track_file(folder)
    if not file.is_file():
        write_whole(file, track.pretty())
        return
    there = Track.read(file.read_bytes(), str(file))
    if there.digest() != track.digest():
        raise BadResults(
            f"{file} freezes another {track.name} (version {there.version}) than this software "
            f"has (version {track.version}); give another --out"
        )


def _without_infra(there: list[Result], file: Path) -> list[Result]:
    """Drop lines whose runs failed for reasons outside the method: they are tried again."""
    kept = [result for result in there if result.status != "infra"]
    if len(kept) < len(there):
        write_whole(file, "".join(f"{result.line()}\n" for result in kept).encode())
    return kept


def _work(runs: Sequence[Run], device: str, jobs: int | None) -> Iterator[tuple[str, Done]]:
    """Yield (run key, result) as worker processes finish runs, longest arms first."""
    if not runs:
        return
    for split in ("train", "test"):  # so that workers find the decoded base in the cache
        images(runs[0].track.base, split)
    workers = min(len(runs), jobs or (1 if device.startswith("cuda") else os.cpu_count() or 1))
    context = multiprocessing.get_context("spawn")
    ear, mouth = context.Pipe(duplex=False)  # closing the mouth tells the workers to leave
    with ProcessPoolExecutor(workers, context, _start_worker, (ear,)) as pool:
        futures: dict[Future[Done], str] = {pool.submit(_one, r, device): r.key for r in runs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise LotteryBenchError(
                "a worker process died (killed, or out of memory); finished runs are kept: "
                "repeat the command, with fewer --jobs if memory is short"
            ) from None
        finally:
            mouth.close()
            pool.shutdown(wait=False, cancel_futures=True)


def _one(run: Run, device: str) -> Done:
    return next(execute([run], device))


def _start_worker(ear: Connection) -> None:
    """Use one thread, repeat exactly, and end when the parent process ends or says so."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        wait([parent.sentinel, ear])
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
