"""Taking a submission in: its files are read once, kept as they are, and checked."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from lotterybench.errors import BadRecord, BadRequest, LotteryBenchError
from lotterybench.manifests import find_manifest
from lotterybench.paths import reference_results
from lotterybench.schema import SLUG, Record, Sha256
from lotterybench.storage import write_whole
from lotterybench.submissions.checking import check_files
from lotterybench.submissions.files import Folder, digest_of, read_folder
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import RECORD, Submission
from lotterybench.submissions.referee.auditing import Audit
from lotterybench.submissions.referee.records import Pull, Rerun, Twin
from lotterybench.submissions.referee.twins import twins_of
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sandbox.outcome import Isolation

CHECKED = "checked.json"
LONGEST = 80  # characters of a name
# What `nulls` calls random subsets: their results lie beside those of submissions.
RESERVED = re.compile(r".*-(null|matched)-\d+")
# What the same files are used for: two that agree in this are one submission.
PURPOSE = ("kind", "entry", "base", "track", "budget", "settings", "reads", "labels")


class Taken(NamedTuple):
    """A submission's files as they were read, under the name that its record will have."""

    name: str
    record: Submission | None
    folder: Folder

    @property
    def digest(self) -> str:
        """The digest of the files."""
        return self.folder.digest


class Examined(Record):
    """What the check of a submission found; kept, so that a restart tells the same."""

    digest: Sha256
    problems: list[str] = Field(default=[])
    warnings: list[str] = Field(default=[])
    twins: list[Twin] = Field(default=[])


def read_in(folder: Path) -> Taken:
    """Read a submission's files, once: everything later is about these bytes."""
    found = read_folder(folder)
    text = found.files.get(RECORD)
    record = read_record(text)[0] if text is not None else None
    return Taken(_name(record, folder, found.digest), record, found)


def make_way(taken: Taken, workplace: Workplace, pull: Pull | None, audit: Audit) -> None:
    """Remove what came of other files under the name, where they give way.

    They do while nothing was done with them, or if they were not verified and came by the same
    pull request. Raises `BadRequest` where they do not.
    """
    there = workplace.read(taken.name)
    if there is None or there.digest == taken.digest:
        return
    if not _gives_way(there, pull):
        raise BadRequest(
            f"{taken.name} is taken: {there.digest[:12]}… is {there.state}, and these files "
            f"are {taken.digest[:12]}…; give them a new name, and supersede the old one"
        )
    audit.note("replaced", taken.name, taken.digest, before=there.digest)
    _forget(there, workplace)


def keep(taken: Taken, workplace: Workplace, audit: Audit) -> None:
    """Write a submission's files into a folder that appears whole, unless it is there.

    Raises `BadRecord` if what is there is something else by now.
    """
    place, found = workplace.files(taken.name), taken.folder
    if place.is_dir():
        there = {
            file.relative_to(place).as_posix(): file.read_bytes()
            for file in place.rglob("*")
            if file.is_file()
        }
        if digest_of(there) != found.digest:
            raise BadRecord(
                f"the files that were taken of {taken.name} are not what they were: restore "
                "them, or remove its folder to take it in anew"
            )
        return
    draft = place.with_name(".files")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for path, content in found.files.items():
        write_whole(draft / path, content)
    draft.rename(place)
    audit.note("took", taken.name, taken.digest, files=len(found.files))


def examine(taken: Taken, workplace: Workplace, isolation: Isolation, audit: Audit) -> Examined:
    """Check what was taken, its code on digits included; problems are all listed.

    Raises `BadRequest` where the code cannot be run under that isolation.
    """
    file = workplace.place(taken.name) / CHECKED
    if file.is_file():
        there = Examined.read(file.read_bytes(), CHECKED)
        if there.digest == taken.digest:
            return there
    checked = check_files(taken.folder, isolation=isolation)
    problems = [*checked.problems]
    twins = twins_of(taken.name, taken.folder.files, None, workplace)
    if taken.record is not None:
        problems += _name_faults(taken.record) + _copy_faults(taken.record, twins, workplace)
    found = Examined(digest=taken.digest, problems=problems, warnings=checked.warnings, twins=twins)
    audit.note(
        "checked", taken.name, taken.digest, problems=len(problems),
        **(checked.trial or {}),
    )  # fmt: skip
    write_whole(file, found.pretty())
    return found


def _name(record: Submission | None, folder: Path, digest: str) -> str:
    """Return the name that a record is kept under, of a submission that has none, too."""
    if record is not None:
        return record.name
    if re.fullmatch(SLUG, folder.name) and len(folder.name) <= LONGEST:
        return folder.name
    return f"unnamed-{digest[:12]}"


def _gives_way(there: Rerun, pull: Pull | None) -> bool:
    """Say whether other files may take the place of what is there."""
    if there.state == "pending":
        return True
    if pull is None or there.pull is None:
        return False
    same = (there.pull.repo, there.pull.number) == (pull.repo, pull.number)
    return same and there.state in ("rejected", "failed", "blocked", "running")


def _forget(there: Rerun, workplace: Workplace) -> None:
    """Remove what came of files that another state of the same pull request replaces.

    The audit trail still tells of them. The record goes last: while it is there, this is repeated.
    """
    shutil.rmtree(workplace.place(there.name), ignore_errors=True)
    for each in workplace.subsets.glob(f"*/{there.name}"):
        shutil.rmtree(each, ignore_errors=True)
    own = re.compile(rf"{re.escape(there.name)}-v\d+\.[a-z]+")
    for file in workplace.results.glob(f"*/{there.name}-v*"):
        if own.fullmatch(file.name):
            file.unlink(missing_ok=True)
    for each in workplace.results.glob(f"*/candidates/{there.name}"):
        shutil.rmtree(each, ignore_errors=True)
    workplace.record(there.name).unlink(missing_ok=True)


def _name_faults(record: Submission) -> list[str]:
    """Say whether the name is that of a manifest or of results that are known here."""
    if RESERVED.fullmatch(record.name):
        return [f"the name {record.name} is one of random subsets; take another one"]
    if record.kind != "selector":  # a manifest's own is checked with it
        return []
    try:
        find_manifest(f"{record.base}/{record.name}@1")
    except LotteryBenchError:
        if not any(reference_results().glob(f"*/{record.name}-v*.jsonl")):
            return []
    return [f"{record.base}/{record.name} is a subset that is known here; take another name"]


def _copy_faults(record: Submission, twins: list[Twin], workplace: Workplace) -> list[str]:
    """Say whether another submission has the same files, for the same purpose."""
    found = []
    for twin in twins:
        other = workplace.read(twin.name)
        if twin.same != "files" or other is None or other.state == "rejected":
            continue
        theirs = (workplace.files(twin.name) / RECORD).read_bytes()
        known = read_record(theirs)[0]
        if known is not None and all(
            getattr(known, field) == getattr(record, field) for field in PURPOSE
        ):
            found.append(f"it is {twin.name} under another name: the same files and settings")
    return found
