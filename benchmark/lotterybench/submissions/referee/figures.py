"""What a rerun measured, in a line per track: how well a subset ranks, or what a method scores."""

from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import LotteryBenchError
from lotterybench.fidelities import Fidelity
from lotterybench.score.board import board, track_of
from lotterybench.submissions.referee.records import Rerun
from lotterybench.submissions.referee.standing import measured
from lotterybench.submissions.referee.workplace import Workplace


class Figure(NamedTuple):
    """One track's figure: τ-b of a subset, or a method's mean score on full data, with bounds.

    `said` is the verdict, or why there is no figure.
    """

    track: str
    tau: float | None = None
    low: float | None = None
    high: float | None = None
    score: float | None = None
    said: str = ""


def figures_of(rerun: Rerun, workplace: Workplace) -> list[Figure]:
    """Return the figures of a verified rerun, by track; of one that is not, none."""
    if rerun.state != "verified":
        return []
    return [_figure(rerun, name, workplace.results / name) for name in rerun.tracks]


def _figure(rerun: Rerun, track: str, folder: Path) -> Figure:
    try:
        if rerun.kind == "method":
            return _score(rerun.name, folder, track)
        found = _fidelity(rerun, folder)
    except LotteryBenchError as error:
        return Figure(track, said=str(error))
    if found is None:
        return Figure(track, said="runs are missing")
    low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
    return Figure(track, found.tau, low, high, said=found.verdict)


def _fidelity(rerun: Rerun, folder: Path) -> Fidelity | None:
    """Return how well a submission's subset ranks, None while runs are missing."""
    return next(
        (
            one.fidelity
            for one in board(folder).subsets
            if f"{one.subset}@{one.subset_version}" in rerun.selected
        ),
        None,
    )


def _score(name: str, folder: Path, track: str) -> Figure:
    found = measured(name, folder, track_of(folder)).get((track, None))
    if found is None:
        return Figure(track, said="runs are missing")
    return Figure(track, None, found.low, found.high, found.value)
