"""Where a submitted method would stand on a board that does not rank it (design §10).

It is no part of the pool, so that no τ depends on who hands in what.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.fidelities import Board, Score
from lotterybench.ranking import rank_intervals
from lotterybench.results import read, results_file
from lotterybench.submissions.referee.claims import Measured
from lotterybench.submissions.referee.records import Rerun, State
from lotterybench.submissions.referee.workplace import RECORD
from lotterybench.trials import Isolation, Result, Track

LEVEL = 0.95  # of each of the two one-sided bounds (protocol §8)


class OnArm(NamedTuple):
    """A candidate's scores on full data (`subset` None) or on a subset, as `base/name@version`.

    `bounds` are one-sided 95 % bounds of the mean by Student's t, None below two seeds.
    """

    subset: str | None
    score: Score
    bounds: tuple[float, float] | None


class Standing(NamedTuple):
    """A candidate of a track: its scores, and the ranks among `of` that its seeds leave open.

    `ranks` is None while runs on full data are missing, and of a candidate that failed there;
    `state` None where there is no record of its rerun.
    """

    name: str
    line: Result
    full: OnArm
    subsets: list[OnArm]
    ranks: tuple[int, int] | None
    of: int
    isolation: Isolation
    state: State | None


def candidates_folder(results: Path) -> Path:
    """Return where the lines of submitted methods lie, inside a track's results folder."""
    return results / "candidates"


def standings(results: Path, board: Board) -> list[Standing]:
    """Return the candidates of a track's results folder, by name.

    Those that were withdrawn or superseded are left out. Raises `BadResults` for lines of another
    version of the track, or of no submission.
    """
    return list(_standings(results, board))


def measured(name: str, results: Path, track: Track) -> dict[tuple[str, str | None], Measured]:
    """Return a candidate's scores as claims of accuracy are compared with: by track and subset."""
    found = {}
    for _, arm in _arms(candidates_folder(results) / name, track):
        if arm.score.mean is not None:
            low, high = arm.bounds or (None, None)
            seeds = len(arm.score.scores)
            of = f"{seeds} seed{'s' * (seeds > 1)}"
            found[track.name, arm.subset] = Measured(arm.score.mean, low, high, of)
    return found


def _standings(results: Path, board: Board) -> Iterator[Standing]:
    track = board.track
    names = {entry.name for entry in track.scored()}
    pool = [score for score in board.full if score.configuration in names]
    for file in sorted(candidates_folder(results).glob(f"*/{results_file(results, None).name}")):
        rerun = _record(results.parent / "submissions" / file.parent.name / RECORD)
        if rerun is not None and (rerun.state == "withdrawn" or rerun.superseded_by):
            continue
        arms = list(_arms(file.parent, track))
        if arms and arms[0][1].subset is None:
            (line, full), *others = arms
            ranks = None if board.missing_full else place_among(pool, full.score)
            yield Standing(
                file.parent.name, line, full, [arm for _, arm in others], ranks, len(pool) + 1,
                line.isolation, rerun.state if rerun else None,
            )  # fmt: skip


def _record(file: Path) -> Rerun | None:
    return Rerun.read(file.read_bytes(), str(file)) if file.is_file() else None


def _arms(folder: Path, track: Track) -> Iterator[tuple[Result, OnArm]]:
    """Yield the first line and the scores of each of a candidate's files, full data first."""
    full = results_file(folder, None)
    for file in sorted(folder.glob("*.jsonl"), key=lambda file: (file != full, file.name)):
        lines = read(file)
        for number, line in enumerate(lines, 1):
            if line.track_digest != track.digest() or line.method != "submission":
                raise BadResults(
                    f"{file} line {number} is of no candidate of {track.name} version "
                    f"{track.version}; remove the file, or rerun the submission"
                )
        if lines:
            first = lines[0]
            ref = f"{first.subset}@{first.subset_version}" if first.subset else None
            score = _score(lines, track.metric)
            yield first, OnArm(ref, score, t_bounds(score.scores))


def _score(lines: Sequence[Result], metric: str) -> Score:
    """Return a candidate's score, by the rules of a configuration's."""
    values = [line.metrics[metric] for line in lines if line.status == "ok"]
    failures = sum(line.status not in ("ok", "infra") for line in lines)
    return Score(
        configuration=lines[0].configuration,
        family=lines[0].family,
        mean=fmean(values) if values and not failures else None,
        scores=values,
        failures=failures,
    )


def t_bounds(scores: Sequence[float]) -> tuple[float, float] | None:
    """Return one-sided 95 % bounds of the mean of seed scores, None below two (Student 1908)."""
    if len(scores) < 2:
        return None
    from scipy.stats import t

    reach = float(t.ppf(LEVEL, len(scores) - 1)) * stdev(scores) / len(scores) ** 0.5
    return fmean(scores) - reach, fmean(scores) + reach


def place_among(pool: Sequence[Score], score: Score) -> tuple[int, int] | None:
    """Return the best and worst rank that seeds leave a score among others', None if it failed.

    As on the board, an entry is surely above another if its lowest seed is above the other's
    highest one; who failed is below all.
    """
    if score.mean is None:
        return None
    reach = [
        (min(one.scores), max(one.scores)) if one.mean is not None else (-np.inf, -np.inf)
        for one in (*pool, score)
    ]
    best, worst = rank_intervals(np.array(reach))[-1]
    return int(best), int(worst)
