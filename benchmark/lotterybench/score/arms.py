"""The arms of a track on disk: which subsets have results, and how many planned runs have none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lotterybench.errors import BadResults
from lotterybench.manifests import find_base, load_subset_manifest
from lotterybench.nulls import MATCHED, RANDOM, Counts, Stratum, stored, stratum, uneven_counts
from lotterybench.paths import submitted_subsets
from lotterybench.records import Subset
from lotterybench.results import check_joinable, read, results_file
from lotterybench.score.comparison import Beside
from lotterybench.score.pool import by_configuration
from lotterybench.trials import Cheaper, Result, Track


@dataclass(frozen=True)
class Found:
    """One subset's runs, and how many of those planned have no final status.

    `named` says that it is listed, not a random one of the track's null; `counts` are the class
    counts of an uneven one, or those that a matched one was drawn with; `beyond` counts runs of
    seeds beyond the plan, which are not among the results (protocol §1).
    """

    subset: Subset
    results: list[Result]
    missing: int
    named: bool = True
    counts: Counts | None = None
    beyond: int = 0

    @property
    def stratum(self) -> Stratum:
        """What random subsets must share with it: kind and size."""
        return stratum(self.subset)

    @property
    def random(self) -> bool:
        """Whether it is drawn at random, and so part of the null of others."""
        return self.subset.selector in RANDOM.values()


def all_found(results: Path, track: Track) -> list[Found]:
    """Return the named subsets of a track's folder, its own first, then those of its null."""
    base, _ = find_base(track.base)
    null = stored(track, results)
    own = dict.fromkeys(track.subsets)
    own |= dict.fromkeys(_others(results, track, [*own], null.values()))
    found = []
    for ref in own:
        subset, positions = load_subset_manifest(ref, submitted_subsets(results.parent))
        counts = uneven_counts(subset, positions, base)
        found.append(_found(results, track, subset, named=True, counts=counts))
    for subset in null.values():
        counts = tuple(subset.settings["counts"]) if subset.selector == MATCHED else None
        found.append(_found(results, track, subset, named=False, counts=counts))
    return found


def controls(results: Path, track: Track) -> list[Beside]:
    """Return the cheaper arms whose planned runs are all there."""
    found = []
    for arm in track.cheaper:
        there = checked(results, track, None, arm)
        if not missing(track, there, track.seeds.subset, arm):
            found.append(Beside(arm, by_configuration(track, there)))
    return found


def checked(
    results: Path, track: Track, subset: Subset | None, cheaper: Cheaper | None = None
) -> list[Result]:
    """Return the planned runs of one arm that are there; seeds beyond the plan do not count."""
    return _apart(results, track, subset, cheaper)[0]


def beyond_plan(results: Path, track: Track, subset: Subset | None) -> int:
    """Return how many runs of an arm are of seeds beyond the plan (protocol §1)."""
    return _apart(results, track, subset)[1]


def _apart(
    results: Path, track: Track, subset: Subset | None, cheaper: Cheaper | None = None
) -> tuple[list[Result], int]:
    """Return the planned runs of an arm that are there, and how many others are."""
    file = results_file(results, subset, cheaper)
    found = read(file)
    check_joinable(found, track, subset, file, find_base(track.base)[0].digest, cheaper)
    planned = track.seeds.subset if subset or cheaper else track.seeds.full
    kept = [result for result in found if result.seed < planned]
    return kept, len(found) - len(kept)


def missing(
    track: Track, results: Sequence[Result], seeds: int, cheaper: Cheaper | None = None
) -> int:
    """Return how many planned runs have no final status (`infra` is none)."""
    done = {(r.configuration, r.seed) for r in results if r.status != "infra"}
    planned = [
        entry.name
        for entry in track.configurations
        if cheaper is None or cheaper.arm != "control" or "epochs" in entry.config
    ]
    return sum((name, seed) not in done for name in planned for seed in range(seeds))


def _found(
    results: Path, track: Track, subset: Subset, *, named: bool, counts: Counts | None
) -> Found:
    there, beyond = _apart(results, track, subset)
    absent = missing(track, there, track.seeds.subset)
    return Found(subset, there, absent, named, counts, beyond)


def _others(results: Path, track: Track, own: Iterable[str], null: Iterable[Subset]) -> list[str]:
    """Return references of subsets that have results beside the track's list and its null."""
    known = [*(load_subset_manifest(ref)[0] for ref in own), *null]
    files = {results_file(results, subset).name for subset in known} | {"full.jsonl"}
    files |= {results_file(results, None, arm).name for arm in track.cheaper}
    found = []
    for file in sorted(results.glob("*.jsonl")):
        lines = read(file) if file.name not in files else []
        if lines:
            ref = f"{lines[0].subset}@{lines[0].subset_version}"
            place = submitted_subsets(results.parent)
            subset = load_subset_manifest(ref, place)[0] if lines[0].subset else None
            if results_file(results, subset) != file:
                raise BadResults(f"{file} holds results of {ref if subset else 'full data'}")
            if subset is None or not _taken_back(subset, lines[0]):
                found.append(ref)
    return found


def _taken_back(subset: Subset, line: Result) -> bool:
    """Say whether a submission was withdrawn: its lines stay, and it leaves the board."""
    return subset.withdrawn is not None and line.origin.startswith("submission:")
