"""Running a track: what is planned and not yet done is carried out and appended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest, BadResults
from lotterybench.executors import Ended, Limits, Terms
from lotterybench.executors import executor as executors
from lotterybench.executors.stacked import in_stacks
from lotterybench.items import join, keep
from lotterybench.kinds import Conduct, Run
from lotterybench.kinds.admission import check_track
from lotterybench.kinds.exact import enumerate_subsets, plan_of
from lotterybench.kinds.ranks import ranked
from lotterybench.kinds.stacked import is_stacked
from lotterybench.manifests import find_base, load_subset_manifest
from lotterybench.methods.base.own import load_own
from lotterybench.nulls import planned, random_subsets
from lotterybench.paths import (
    checkpoints_folder,
    curves_file,
    encoders_folder,
    timings_file,
    track_file,
)
from lotterybench.progress import table
from lotterybench.records import Subset
from lotterybench.results import append, arrange, check_joinable, mend, read, results_file
from lotterybench.storage import locked, write_whole
from lotterybench.tracks import find_track
from lotterybench.trials import Cheaper, Isolation, Result, Track

ENUMERATED = "of an exact track, only --classes, --out, --seeds, --jobs and --plan may be given"


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
    """All planned runs of one results file: on full data (subset None), or on a subset."""

    file: Path
    subset: Subset | None
    runs: list[Run]
    cheaper: Cheaper | None = None


def plan(
    track: Track, out: Path, *, subsets: Sequence[str] | None = None, full: bool = True,
    only: Sequence[str] | None = None, seeds: int | None = None,
    cheaper: Sequence[Cheaper] | None = None, null: bool = True,
) -> list[Arm]:  # fmt: skip
    """Return the arms of a track: full data, the cheaper arms on it, each subset, and its null.

    `subsets` and `cheaper` None mean the track's own, but no cheaper arms where subsets are
    given; `only` restricts to some configurations; `seeds` overrides the track's planned numbers.
    The random subsets of the null go with the track's own subsets, unless `null` is false.
    """
    base, _ = find_base(track.base)
    if track.kind == "exact":
        raise BadRequest(f"{track.name} has no arms of single runs: {ENUMERATED}")
    check_track(track, base)
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
    if subsets is None and null:
        wanted += planned(track, out / track.name)
    _check_apart([subset for subset, _ in wanted if subset is not None])
    if cheaper is None:
        cheaper = track.cheaper if subsets is None and full else ()
    beside = [
        Arm(
            results_file(out / track.name, None, arm),
            None,
            [
                Run(track, None, None, base.digest, entry, seed, arm)
                for entry in entries
                if "epochs" in entry.config or arm.arm != "control"
                for seed in range(seeds or track.seeds.subset)
            ],
            arm,
        )
        for arm in cheaper
    ]
    arms = [
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
    return [*arms[: bool(full)], *beside, *arms[bool(full) :]]


def run_track(
    track: str | Track, out: Path, *, subsets: Sequence[str] | None = None, full: bool = True,
    only: Sequence[str] | None = None, seeds: int | None = None, device: str = "auto",
    jobs: int | None = None, executor: str | None = None, address: str | None = None,
    time_limit: float | None = None, memory_limit: float | None = None,
    conduct: Conduct | None = None, save_encoders: bool = False,
    cheaper: Sequence[Cheaper] | None = None, null: bool = True,
    classes: Sequence[int] | None = None, origin: str = "reference",
    isolation: Isolation = "rerun-unsandboxed",
) -> Summary:  # fmt: skip
    """Do all planned runs of a track that have no result in `out/<track>/` yet.

    `track` is a name, a file, or the record itself. `classes` restricts an exact track to subsets
    of so many classes, besides full data and its cheaper arms. `executor` is `local` for worker
    processes, of which there are `jobs`, or `ray` for a cluster at `address`; results do not
    depend on it. Under torchrun, all its processes share each run. A run that takes more than
    `time_limit` seconds or `memory_limit` GiB ends as `timeout` or `oom`. Trainings half done are
    kept in `out/<track>/.checkpoints/`, and with `save_encoders` the trained ones in `encoders/`,
    unless `conduct` names other folders. Results say from where the data that they are of came
    (`origin`, as `submission:<name>`), and how the code was isolated that chose them.

    May be interrupted in any way and repeated. Raises `Busy` if another process writes the same
    files. A script that calls this guards it by `if __name__ == "__main__"`, since workers import
    it.
    """
    track = find_track(track) if isinstance(track, str) else track
    folder = out / track.name
    if track.kind == "exact":
        idle = (executor, address, time_limit, memory_limit, conduct and conduct != Conduct())
        if subsets is not None or not full or only or save_encoders or any(idle):
            raise BadRequest(f"{track.name} is run whole, on this machine: {ENUMERATED}")
        return _enumerate(track, out, seeds, device, jobs, classes)
    if classes:
        raise BadRequest(f"{track.name} names its subsets; --classes is of exact tracks")
    name = executor or ("torchrun" if ranked() else "local")
    conduct = _here(conduct or Conduct(), folder, save_encoders)
    for where in conduct.own:
        load_own(where)
    limits = Limits(_positive("time", time_limit), _positive("memory", memory_limit))
    terms = Terms(device, jobs, limits, conduct, address)
    carry_out = in_stacks(name, terms) if is_stacked(track) else executors[name]
    arms = plan(
        track, out, subsets=subsets, full=full, only=only, seeds=seeds, cheaper=cheaper, null=null
    )
    _freeze(track, folder)
    if subsets is None and null:
        random_subsets(track, folder)
    with ExitStack() as locks:
        for arm in arms:
            locks.enter_context(locked(arm.file))
        torn = [
            aside
            for arm in arms
            for file in (arm.file, timings_file(arm.file), curves_file(arm.file))
            if (aside := mend(file)) is not None
        ]
        todo = [run for arm in arms for run in _missing(arm, track)]
        statuses: dict[str, int] = {}
        file_of = {run.key: arm.file for arm in arms for run in arm.runs}
        for event in table(carry_out(todo, terms) if todo else (), todo, f"running {track.name}"):
            if isinstance(event, Ended):
                result, seconds, curve, outranked = event.done
                result = result.model_copy(update={"origin": origin, "isolation": isolation})
                file = file_of[event.run.key]
                if outranked is not None:
                    keep(folder, result.key, outranked)
                append(file, result, seconds, timings_file(file), curve)
                _forget(conduct.checkpoints, result)
                statuses[result.status] = statuses.get(result.status, 0) + 1
        for arm in arms:
            if arm.file.is_file():
                arrange(arm.file, track)
            if arm.subset is None and arm.cheaper is None:
                join(folder, track, read(arm.file))
        with suppress(OSError):  # not there, or not empty: another process is at work
            checkpoints_folder(folder).rmdir()
    return Summary(folder, len(file_of), len(file_of) - len(todo), statuses, torn)


def _check_apart(subsets: Sequence[Subset]) -> None:
    """Raise for two subsets of equal content: their runs would be the same, and be made once."""
    known: dict[str, Subset] = {}
    for subset in subsets:
        same = known.setdefault(subset.data_digest(), subset)
        if same is not subset:
            raise BadRequest(f"{subset.ref} selects what {same.ref} does; give one of them")


def _enumerate(
    track: Track, out: Path, seeds: int | None, device: str, jobs: int | None,
    classes: Sequence[int] | None,
) -> Summary:  # fmt: skip
    """Train on all class subsets; the runs of the summary are models."""
    if device not in ("auto", "cpu"):
        raise BadRequest(f"{track.name} runs on the processor; leave --device away")
    plan_of(track, out, seeds=seeds, counts=classes)  # refuses before anything is written
    _freeze(track, out / track.name)
    done = enumerate_subsets(track, out, seeds=seeds, counts=classes, jobs=jobs)
    statuses = {"ok": done.trained} if done.trained else {}
    return Summary(done.folder, done.planned, done.before, statuses, [])


def _here(conduct: Conduct, folder: Path, save_encoders: bool) -> Conduct:
    """Fill in the folders, and make every path one that workers elsewhere understand."""
    checkpoints = conduct.checkpoints or checkpoints_folder(folder)
    encoders = conduct.encoders or (encoders_folder(folder) if save_encoders else None)
    return replace(
        conduct,
        checkpoints=checkpoints.resolve(),
        encoders=encoders and encoders.resolve(),
        own=tuple(_absolute(where) for where in conduct.own),
        shards=conduct.shards and conduct.shards.resolve(),
    )


def _absolute(own: str) -> str:
    file, colon, function = own.rpartition(":")
    return f"{Path(file).resolve()}:{function}" if colon else own


def _positive(what: str, limit: float | None) -> float | None:
    if limit is not None and not limit > 0:
        raise BadRequest(f"the {what} limit is {limit:g}; it lies above 0")
    return limit


def _missing(arm: Arm, track: Track) -> list[Run]:
    """Return the runs of an arm that have no result yet."""
    there = read(arm.file)
    check_joinable(there, track, arm.subset, arm.file, arm.runs[0].base_digest, arm.cheaper)
    done = {result.key for result in _without_infra(there, arm.file)}
    return [run for run in arm.runs if run.key not in done]


def _forget(checkpoints: Path | None, result: Result) -> None:
    """Remove what is left of a training that has a result: a checkpoint, or a draft of one."""
    if checkpoints is None or not checkpoints.is_dir() or result.status == "infra":
        return
    for rest in checkpoints.glob(f"*{result.key}*"):
        rest.unlink(missing_ok=True)


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
