"""Whether reference methods still give what they gave: before a round scores anything on a track.

Two configurations of different families, which nobody can choose, are run again on full data. A
machine, driver or library that moves them would move what is submitted, too: the round is blocked.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

from scipy import stats

from lotterybench.errors import BadRequest, BadResults, UnknownName
from lotterybench.manifests import find_base
from lotterybench.paths import reference_results, track_file
from lotterybench.results import check_joinable, read, results_file
from lotterybench.run import run_track
from lotterybench.storage import locked, write_whole
from lotterybench.submissions.files import read_folder
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import RECORD, Submission
from lotterybench.submissions.referee.auditing import open_audit
from lotterybench.submissions.referee.ending import check_open
from lotterybench.submissions.referee.records import Drift, Round
from lotterybench.submissions.referee.scoring import tracks_of
from lotterybench.submissions.referee.seeds import open_round
from lotterybench.submissions.referee.stopping import Stopped
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.trials import Configuration, Result, Track

REPEATED = 2  # configurations of a track
LEVEL = 0.99  # of the prediction interval: with two a track, one false alarm in 50 tracks
DONE = ("verified", "rejected", "withdrawn")  # what is not run again
EXACT = 1e-9  # points: what summing in another order may change in a mean


def check_references(
    tracks: Sequence[Track], workplace: Workplace, *, recorded: Path | None = None,
    seeds: int | None = None, device: str = "auto", jobs: int | None = None,
    who: str | None = None,
) -> Round:  # fmt: skip
    """Run the references of tracks that this round has not run yet; return the round.

    `recorded` is the folder of the results that they are compared with (default: those that ship
    with the package); a track that it has no lines of has no references. `Round.blocked` says what
    moved. References that moved are run again by the next call, and the earlier runs kept.

    May be interrupted and repeated. Raises `Busy` if another referee is at work, `BadResults` if
    runs failed for reasons of the machine, and `BadRequest` in a round that is closed.
    """
    with locked(workplace.folder / "round"):
        _, found = open_round(workplace)
        check_open(found)
        for track in tracks:
            known = [one for one in found.references if one.track == track.name]
            if known and all(one.holds for one in known):
                continue
            before = recorded_of(track, recorded or reference_results())
            entries = chosen(track, before, found.commitment)
            if not entries:
                continue
            if known:
                _set_aside(workplace, track)
            moved = _repeated(track, entries, before, workplace, seeds, device, jobs)
            others = [one for one in found.references if one.track != track.name]
            every = sorted([*others, *moved], key=lambda one: (one.track, one.configuration))
            found = found.model_copy(update={"references": every, "blocked": blocked_by(every)})
            write_whole(workplace.round, found.pretty())
            audit = open_audit(workplace, who)
            for one in moved:
                audit.note(
                    "repeated a reference", track=one.track, configuration=one.configuration,
                    recorded=one.recorded, repeated=one.repeated,
                    holds="yes" if one.holds else "no",
                )  # fmt: skip
    return found


class References:
    """The references of the tracks that submissions are scored on, looked at once in a call."""

    def __init__(
        self, workplace: Workplace, *, tracks: Sequence[str] | None = None,
        seeds: int | None = None, device: str = "auto", jobs: int | None = None,
        who: str | None = None,
    ) -> None:  # fmt: skip
        self.workplace, self.tracks, self.seen = workplace, tracks, set[str]()
        self.check = partial(
            check_references, workplace=workplace, seeds=seeds, device=device, jobs=jobs, who=who
        )

    def before(self, folder: Path) -> None:
        """Run those of the submission in a folder; nothing where there is no record of one."""
        text = read_folder(folder).files.get(RECORD)
        record = None if text is None else read_record(text)[0]
        if record is not None:
            self(record)

    def __call__(self, record: Submission) -> None:
        """Run those that are missing, before a submission is; nothing for one that is done."""
        there = self.workplace.read(record.name)
        if there is not None and there.state in DONE:
            return
        try:
            tracks, _ = tracks_of(record, self.tracks)
        except (Stopped, BadRequest, UnknownName):  # its rerun says so
            return
        new = [track for track in tracks if track.name not in self.seen]
        self.seen |= {track.name for track in new}
        if new:
            self.check(new)


def recorded_of(track: Track, folder: Path) -> list[Result]:
    """Return a track's lines of full data in a folder of results, [] for another version of it."""
    frozen, file = track_file(folder / track.name), results_file(folder / track.name, None)
    if not frozen.is_file() or not file.is_file():
        return []
    if Track.read(frozen.read_bytes(), frozen.name).digest() != track.digest():
        return []
    lines = read(file)
    check_joinable(lines, track, None, file, find_base(track.base)[0].digest)
    return lines


def chosen(track: Track, lines: Sequence[Result], commitment: str) -> list[Configuration]:
    """Return the configurations that a round repeats, of different families.

    They come in the order of sha256(commitment | name), among those whose recorded runs are ok.
    """
    sound = {one.configuration for one in lines} - {
        one.configuration for one in lines if one.status != "ok"
    }
    entries = sorted(
        (one for one in track.scored() if one.name in sound),
        key=lambda one: hashlib.sha256(f"{commitment}|{one.name}".encode()).hexdigest(),
    )
    found: list[Configuration] = []
    for one in entries:
        if one.family not in {other.family for other in found}:
            found.append(one)
    return found[:REPEATED]


def compared(track: Track, before: Sequence[Result], now: Sequence[Result]) -> Drift:
    """Return one configuration's mean then and now, and the interval that the new one may lie in.

    The interval is that of a mean of m new runs, given n recorded ones: the recorded mean
    ± t(n - 1) s √(1/n + 1/m). With one recorded run there is none: equal, or not. A run that did
    not end as `ok` holds in no case; the mean is then of those that did, and 0 if there is none.
    """
    scores = [one.metrics[track.metric] for one in before]
    again = [one.metrics[track.metric] for one in now if one.status == "ok"]
    mean, repeated = fmean(scores), fmean(again) if again else 0.0
    reach = 0.0
    if len(scores) > 1 and again:
        quantile = float(stats.t.ppf((1 + LEVEL) / 2, len(scores) - 1))
        reach = quantile * stdev(scores) * sqrt(1 / len(scores) + 1 / len(again))
    known = {one.seed: one.metrics for one in before}
    whole = len(again) == len(now) > 0
    identical = whole and all(known.get(one.seed) == one.metrics for one in now)
    inside = whole and len(scores) > 1 and abs(repeated - mean) <= reach + EXACT
    return Drift(
        track=track.name, configuration=now[0].configuration, recorded=mean, repeated=repeated,
        low=mean - reach, high=mean + reach, seeds=len(now), identical=identical,
        holds=identical or inside,
    )  # fmt: skip


def blocked_by(references: Sequence[Drift]) -> str:
    """Say which references moved, "" if none did."""
    moved = [
        f"{one.configuration} of {one.track} gives {one.repeated:.2f}, recorded {one.recorded:.2f} "
        f"(expected {one.low:.2f} to {one.high:.2f})"
        for one in references
        if not one.holds
    ]
    return f"reference methods moved: {'; '.join(moved)}" if moved else ""


def _repeated(
    track: Track, entries: Sequence[Configuration], before: Sequence[Result],
    workplace: Workplace, seeds: int | None, device: str, jobs: int | None,
) -> list[Drift]:  # fmt: skip
    """Run configurations on full data, apart from the round's results, and compare them."""
    out = _place(workplace)
    run_track(
        track, out, only=[one.name for one in entries], subsets=[], full=True, cheaper=[],
        null=False, seeds=seeds, device=device, jobs=jobs,
    )  # fmt: skip
    lines = read(results_file(out / track.name, None))
    if any(one.status == "infra" for one in lines):
        raise BadResults(
            f"references of {track.name} failed for reasons of the machine: repeat the command"
        )
    found = []
    for entry in entries:
        then = [one for one in before if one.configuration == entry.name]
        now = [one for one in lines if one.configuration == entry.name]
        found.append(compared(track, then, now))
    return found


def _place(workplace: Workplace) -> Path:
    """Return where references are run; their lines are no part of the round's results."""
    return workplace.folder / "references"


def _set_aside(workplace: Workplace, track: Track) -> None:
    """Keep runs that moved beside those that are made anew."""
    there = _place(workplace) / track.name
    number = len([*_place(workplace).glob(f"{track.name}.before-*")]) + 1
    if there.is_dir():
        there.rename(there.with_name(f"{track.name}.before-{number}"))
