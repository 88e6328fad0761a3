"""Checking a submission's folder: everything that the referee checks, and every problem of it."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lotterybench.errors import LotteryBenchError
from lotterybench.manifests import find_manifest, find_record
from lotterybench.records import Declared
from lotterybench.submissions.entry import code_problems
from lotterybench.submissions.files import Folder, read_folder
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import RECORD, Submission
from lotterybench.submissions.sandbox.outcome import Isolation
from lotterybench.submissions.words import shown
from lotterybench.tracks import study, track
from lotterybench.trials import Track


@dataclass(frozen=True)
class Checked:
    """A submission as it was read, and what is wrong with it.

    `digest` is that of the files that were taken. `warnings` keep nobody from sending. `trial`
    says under which isolation the code ran on digits, and the most seconds and bytes of memory
    that a process took; None if it did not run.
    """

    record: Submission | None
    folder: Folder
    problems: list[str]
    warnings: list[str] = field(default_factory=list)
    trial: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        """The digest of the files that were taken."""
        return self.folder.digest

    def fields(self) -> dict[str, Any]:
        """Return what is told of it as plain values."""
        return {
            "name": self.record.name if self.record else None,
            "kind": self.record.kind if self.record else None,
            "digest": self.digest,
            "files": list(self.folder.files),
            "problems": self.problems,
            "warnings": self.warnings,
            "trial": self.trial,
        }


def check_submission(folder: Path, *, run: bool = True) -> Checked:
    """Return every problem of a submission; with `run`, its code is run on digits, too.

    The files are read once: what is checked is what would be sent. Raises `BadRequest` if there
    is no such folder.
    """
    return check_files(read_folder(folder), run=run)


def check_files(found: Folder, *, run: bool = True, isolation: Isolation | None = None) -> Checked:
    """Return every problem of a submission's files, as `check_submission` does.

    With an `isolation` the code runs so and not otherwise; raises `BadRequest` where it cannot.
    """
    text = found.files.get(RECORD)
    if text is None:
        there = [f"there is no {RECORD}; `lotterybench submit new` writes one"]
        return Checked(None, found, [*found.problems, *there, *code_problems(None, found.files)])
    record, problems = read_record(text)
    problems = [*found.problems, *problems]
    if record is None:
        return Checked(None, found, [*problems, *code_problems(None, found.files)])
    tracks, faults = _places(record)
    problems += [f"{RECORD}: {fault}" for fault in faults]
    if record.kind == "subset":
        return _subset(record, found, problems, tracks)
    code = code_problems(record, found.files)
    problems += code
    if not run or code:
        why = "the code was not run" + (": mend its problems first" if code else "")
        return Checked(record, found, problems, [why])
    from lotterybench.submissions.trial import try_code

    trial = try_code(record, found.files, isolation)
    told = {
        "isolation": trial.isolation, "seconds": trial.seconds, "memory_bytes": trial.memory_bytes,
    }  # fmt: skip
    return Checked(record, found, problems + trial.problems, trial.warnings, told)


def _subset(record: Submission, found: Folder, problems: list[str], tracks: list[Track]) -> Checked:
    from lotterybench.submissions.manifest import subset_problems

    strays = [path for path in found.files if path.endswith(".py")]
    more = [f"{path} is code; a submitted subset is a manifest alone" for path in strays]
    with tempfile.TemporaryDirectory(prefix="lotterybench-check-") as place:
        for path, content in found.files.items():
            file = Path(place, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        faults, notes = subset_problems(record, Path(place), tracks)
    return Checked(record, found, problems + more + faults, notes)


def _places(record: Submission) -> tuple[list[Track], list[str]]:
    """Return the tracks that a submission is to be scored on, and what it names in vain."""
    faults = []
    try:
        base, _ = find_record(record.base)
        if isinstance(base, Declared) and record.budget.classes is None:
            faults.append(f"base {record.base} is declared only: classes alone can be selected")
        asked = record.budget.classes
        if asked is not None and asked > len(base.class_names):
            faults.append(f"budget: {asked} classes of {len(base.class_names)} in {record.base}")
    except LotteryBenchError as error:
        faults.append(f"base: {error}")
    tracks = [track[name] for name in track if track[name].base == record.base]
    if record.track is not None:
        try:
            tracks = [track[record.track]]
            if tracks[0].base != record.base:
                faults.append(f"track {record.track} is of {tracks[0].base}, not {record.base}")
        except LotteryBenchError as error:
            faults.append(f"track: {error}")
    return tracks, faults + _claim_faults(record)


def _claim_faults(record: Submission) -> list[str]:
    found = []
    own = f"{record.base}/{record.name}"
    for number, claim in enumerate(record.claims):
        if claim.track not in track and claim.track not in study:
            found.append(f"claims.{number}: there is no track {shown(claim.track)}")
        if claim.subset is not None and claim.subset.partition("@")[0] != own:
            try:
                find_manifest(claim.subset)
            except LotteryBenchError:
                found.append(f"claims.{number}: there is no subset {shown(claim.subset)}")
    return found
