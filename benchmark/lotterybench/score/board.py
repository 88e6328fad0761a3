"""A track's board: its arms read and checked, each subset judged against the others' null."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.fidelities import Board, Fidelity, Null, Pilot, Score, SubsetScores
from lotterybench.nulls import Counts, primary_stratum
from lotterybench.paths import pilot_file, track_file
from lotterybench.ranking import kendall_tau
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.null import holm
from lotterybench.score.arms import (
    Found,
    all_found,
    beyond_plan,
    checked,
    controls,
    missing,
)
from lotterybench.score.comparison import Comparison
from lotterybench.score.fidelity import fidelity_of
from lotterybench.score.items import checked_items
from lotterybench.score.judged import judged
from lotterybench.score.pool import Runs, by_configuration, scored
from lotterybench.score.ranked import ranked
from lotterybench.score.savings import board_frontier
from lotterybench.score.selectors import selectors
from lotterybench.standings import Nulls
from lotterybench.tracks import find_track
from lotterybench.trials import Result, Track


def board(results: Path) -> Board:
    """Score every subset of the track whose results lie in a folder.

    The folder holds `track.json`, `full.jsonl`, a file per subset and one per cheaper arm, and the
    manifests of the track's random subsets in `null/`. Raises `BadResults` if lines of different
    pools, versions, scopes or data would be joined.
    """
    track = track_of(results)
    full = checked(results, track, None)
    found = all_found(results, track)
    missing_full = missing(track, full, track.seeds.full)
    pilot = _pilot(results, track)
    whole = by_configuration(track, full)
    complete = [] if missing_full else [one for one in found if not one.missing]
    judgements = _judged(results, track, full, complete, pilot)
    return Board(
        track=track,
        track_digest=track.digest(),
        full=_scores(track, full),
        missing_full=missing_full,
        subsets=[
            SubsetScores(
                subset=one.subset.id,
                subset_version=one.subset.version,
                missing=one.missing,
                fidelity=judgements.get(one.subset.ref),
                scores=_scores(track, one.results),
            )
            for one in found
            if one.named
        ],
        pilot=pilot,
        ranked=ranked(track, whole, complete),
        nulls=_nulls(track, whole, found, complete),
        selectors=selectors(track, whole, complete),
        frontier=board_frontier(track, whole, complete, controls(results, track)),
    )


def track_of(results: Path) -> Track:
    """Return the track that is frozen beside its results."""
    file = track_file(results)
    if not file.is_file():
        raise BadResults(f"{results} holds no track.json; run the track with --out first")
    return Track.read(file.read_bytes(), str(file))


def boards(results: Path, base: str | None = None) -> list[Board]:
    """Score every track, of a base if one is named, that has a folder in `results`, by name."""
    files = sorted(results.glob("*/track.json"))
    if not files:
        raise BadResults(f"{results} holds no <track>/track.json; run a track with --out first")
    tracks = {file.parent: track_of(file.parent) for file in files}
    return [
        board(folder)
        for folder, track in tracks.items()
        if track.kind == "ranking" and base in (None, track.base)
    ]


def score_track(name: str, results: Path) -> Board:
    """Score one track from `results/<track>/`."""
    return board(results / find_track(name).name)


def _judged(
    results: Path,
    track: Track,
    full: Sequence[Result],
    complete: Sequence[Found],
    pilot: Pilot | None,
) -> dict[str, Fidelity]:
    """Return the fidelity of every named subset whose planned runs are all there, by reference."""
    if not complete:
        return {}
    whole = by_configuration(track, full)
    runs = {one.subset.ref: by_configuration(track, one.results) for one in complete}
    beside, items, primary = (
        controls(results, track),
        checked_items(results, track, full),
        primary_stratum(track),
    )
    beyond = beyond_plan(results, track, None)
    named = [one for one in complete if one.named]
    comparisons = {
        one.subset.ref: Comparison(
            track=track,
            subset=one.subset,
            pool=scored(track, whole, one.subset),
            full=whole,
            there=runs[one.subset.ref],
            controls=beside,
            null=[
                runs[other.subset.ref]
                for other in complete
                if other.random and other.stratum == one.stratum and other is not one
            ],
            matched=[runs[other.subset.ref] for other in complete if _matches(other, one)],
            uneven=one.counts is not None,
            primary=one.stratum == primary,
            pilot=pilot,
            items=items,
            notes=_notes([*full, *one.results], beyond + one.beyond),
        )
        for one in named
    }
    judgements = {ref: fidelity_of(this) for ref, this in comparisons.items()}
    for stratum in {one.stratum for one in named}:
        refs = [one.subset.ref for one in named if one.stratum == stratum and not one.random]
        for which in ("null", "null_matched"):
            _adjust(which, refs, judgements)
        for ref in refs:
            judgements[ref] = judged(comparisons[ref], judgements[ref])
    return judgements


def _matches(random: Found, uneven: Found) -> bool:
    """Say whether a random subset was drawn with the class counts of an uneven one."""
    return not random.named and random.counts is not None and random.counts == uneven.counts


def _adjust(
    which: Literal["null", "null_matched"], refs: Sequence[str], judgements: dict[str, Fidelity]
) -> None:
    """Adjust the p values of a track's selected subsets of one size by Holm."""
    nulls: dict[str, Null] = {
        ref: null for ref in refs if (null := getattr(judgements[ref], which))
    }
    tested = {ref: null for ref, null in nulls.items() if null.p_t is not None}
    adjusted = holm([null.p_t or 0.0 for null in tested.values()]) if tested else []
    for (ref, null), p in zip(tested.items(), adjusted, strict=True):
        with_p = null.model_copy(update={"p_holm": p})
        judgements[ref] = judgements[ref].model_copy(update={which: with_p})


def _nulls(
    track: Track, full: Runs, found: Sequence[Found], complete: Sequence[Found]
) -> list[Nulls]:
    """Return the τ of the random subsets that are not listed, by kind and size."""
    groups: dict[tuple[str, int, Counts | None], list[Found]] = {}
    for one in found:
        if not one.named:
            groups.setdefault((*one.stratum, one.counts), []).append(one)
    uneven = {one.counts: one.subset.id for one in found if one.named and one.counts}
    return [
        Nulls.model_validate(
            {
                "kind": kind,
                "size": size,
                "matched": uneven.get(counts) if counts else None,
                "missing": sum(one not in complete for one in group),
                "tau": [_tau(track, full, one) for one in group if one in complete],
            }
        )
        for (kind, size, counts), group in groups.items()
    ]


def _tau(track: Track, full: Runs, one: Found) -> float | None:
    """Return the τ-b of a random subset on the whole pool."""
    pool = scored(track, full, one.subset)
    if len(pool.entries) < 2:
        return None
    there = by_configuration(track, one.results)
    x, y = (
        seed_means(pool.scores(side, track.metric, full=side is full)) for side in (full, there)
    )
    return kendall_tau(x, y)


def _pilot(results: Path, track: Track) -> Pilot | None:
    """Return the pilot's record; one of another pool is refused."""
    file = pilot_file(results)
    if not file.is_file():
        return None
    pilot = Pilot.read(file.read_bytes(), str(file))
    if pilot.track_digest != track.digest():
        raise BadResults(f"{file} is of another {track.name}; run its pilot again (protocol §2)")
    return pilot


def _scores(track: Track, results: Sequence[Result]) -> list[Score]:
    found = []
    runs = by_configuration(track, results)
    for entry in track.configurations:
        values = [r.metrics[track.metric] for r in runs[entry.name] if r.status == "ok"]
        failures = sum(run.status not in ("ok", "infra") for run in runs[entry.name])
        found.append(
            Score(
                configuration=entry.name,
                family=entry.family,
                anchor=entry.name in track.anchors,
                mean=float(seed_means(np.array(values))) if values and not failures else None,
                scores=values,
                failures=failures,
            )
        )
    return found


def _notes(runs: Sequence[Result], beyond: int) -> list[str]:
    """Say what else a reader should know of the runs, of which some are not planned."""
    notes = []
    if beyond:
        notes.append(f"{beyond} runs of seeds beyond the plan do not count (protocol §1)")
    for what, kinds in (
        ("code versions", {run.code_digest for run in runs}),
        ("devices", {run.cost.device for run in runs}),
    ):
        if len(kinds) > 1:
            notes.append(f"the runs are of {len(kinds)} {what}")
    return notes
