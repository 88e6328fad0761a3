"""The runs that score what was submitted: which tracks, and our methods on its manifest."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lotterybench.errors import BadRequest
from lotterybench.nulls import random_beside
from lotterybench.paths import manifest_file, reference_results, track_file
from lotterybench.records import Subset
from lotterybench.results import read, results_file
from lotterybench.run import run_track
from lotterybench.submissions.records import Submission
from lotterybench.submissions.referee.probing import unsuitable
from lotterybench.submissions.referee.stopping import Stopped
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.tracks import find_study, find_track, study, track
from lotterybench.trials import Isolation, Track


@dataclass(frozen=True)
class Means:
    """How runs are carried out: random subsets of equal size, seeds (None: as planned), where."""

    null: int = 20
    seeds: int | None = None
    device: str = "auto"
    jobs: int | None = None


def tracks_of(
    record: Submission, asked: Sequence[str] | None = None
) -> tuple[list[Track], list[str]]:
    """Return the tracks that a submission is scored on, and why others of its base are not.

    They are those that are `asked` for, by name or file, or the one that it names, or every one
    of its base that has reference results. Raises `BadRequest` if what is asked for is not what it
    names, and `Stopped` if there is none.
    """
    named = [record.track] if record.track else []
    for name in asked or ():
        if find_study(name) is not None:
            raise BadRequest(f"{name} is a study; submissions are scored on ranking tracks")
    if asked:
        found = [find_track(name) for name in asked]
        mine = [one for one in found if one.base == record.base]
        if record.track is not None:
            mine = [one for one in mine if one.name == record.track]
        if not mine:
            where = record.track or f"tracks of {record.base}"
            raise BadRequest(
                f"{record.name} is to be scored on {where}, and asked for is "
                f"{', '.join(one.name for one in found)}; leave --track out, or name one of those"
            )
    else:
        mine = [track[name] for name in named or track if track[name].base == record.base]
    kept, notes = [], []
    for one in mine:
        why = _unfit(one, record) or ("" if asked or named else _unmeasured(one))
        if why:
            notes.append(f"not scored on {one.name}: {why}")
        else:
            kept.append(one)
    if not asked and not named:
        notes += [
            f"not scored on {name}: it is a study, with runs of its own"
            for name in study
            if getattr(study[name], "base", None) == record.base
        ]
    if not kept:
        told = "; ".join(notes) or f"{record.base} has no track"
        raise Stopped("invalid", f"there is no track to score a {record.kind} on: {told}"[:300])
    return kept, notes


def _unfit(one: Track, record: Submission) -> str:
    """Say why a track never scores such a submission, "" if it does."""
    if one.kind == "exact":
        return "it runs every subset there is, and none is added"
    return unsuitable(one) if record.kind == "method" else ""


def _unmeasured(one: Track) -> str:
    """Say that a track has no reference results of full data, "" if it has."""
    there = results_file(reference_results() / one.name, None).is_file()
    return "" if there else f"it has no reference results; --track {one.name} makes them first"


def begin(one: Track, workplace: Workplace) -> Path:
    """Return a track's folder of results, begun with the reference results if it is new.

    They are taken over whole: the board of a round shows what was submitted beside the rest.
    """
    folder, shipped = workplace.results / one.name, reference_results() / one.name
    frozen = track_file(shipped)
    if folder.is_dir() or not frozen.is_file():
        return folder
    if Track.read(frozen.read_bytes(), frozen.name).digest() != one.digest():
        return folder  # of another version of the track: nothing is joined across versions
    draft = workplace.folder / f".{one.name}"  # no board looks there
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(shipped, draft, ignore=shutil.ignore_patterns(".*", "encoders"))
    workplace.results.mkdir(parents=True, exist_ok=True)
    draft.rename(folder)
    return folder


def run_subset(
    one: Track, subset: Subset, workplace: Workplace, origin: str, isolation: Isolation,
    means: Means,
) -> str:  # fmt: skip
    """Run a track's methods on a submitted subset and on random ones; return its results file.

    Full data and the cheaper arms are run first if they have no results yet. What has a result is
    not run again. Raises `Stopped` with `infra` if a run failed for reasons of the machine.
    """
    folder = begin(one, workplace)
    manifest = manifest_file(workplace.subsets, subset.id, subset.version)
    run = partial(
        run_track, one, workplace.results, seeds=means.seeds, device=means.device,
        jobs=means.jobs, null=False,
    )  # fmt: skip
    run(subsets=[], full=True, cheaper=one.cheaper)
    run(subsets=[str(manifest)], full=False, cheaper=[], origin=origin, isolation=isolation)
    if means.null:
        beside = [str(file) for file in random_beside(one, manifest, folder, means.null)]
        run(subsets=beside, full=False, cheaper=[])
    files = [results_file(folder, None), results_file(folder, subset)]
    if any(result.status == "infra" for file in files for result in read(file)):
        raise Stopped("infra", f"runs of {one.name} failed for reasons of the machine; run again")
    return files[1].relative_to(workplace.results).as_posix()
