"""The queue: open pull requests taken up one after the other, answered, and committed.

Whatever it is interrupted by, the next call goes on: what was rerun is not run again, what was said
is not said twice, and what is on main is not committed again. Only what was rerun is ever
committed, and no branch is merged.
"""

import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from lotterybench.errors import LotteryBenchError
from lotterybench.progress import bar
from lotterybench.provenance import code_digest
from lotterybench.storage import locked, write_whole
from lotterybench.submissions.files import Folder, digest_of, read_folder
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import RECORD, Submission
from lotterybench.submissions.referee.auditing import CODE, open_audit
from lotterybench.submissions.referee.committing import commit, commit_endings, is_published
from lotterybench.submissions.referee.pulls import Incoming, Waiting
from lotterybench.submissions.referee.records import Pull, Rerun
from lotterybench.submissions.referee.replies import reply_to
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.words import shown

DONE = ("verified", "rejected", "withdrawn")


class Bench(NamedTuple):
    """What carries out the work: a rerun of a folder, and the references of a submission's tracks.

    `references` runs those first, and writes down a round that is blocked: `again` reads it.
    """

    again: Callable[[Path, Pull], Rerun]
    references: Callable[[Submission], object]


@dataclass(frozen=True)
class Turn:
    """What became of one pull request in one call.

    `state` is that of its record, or `refused` where the name is not its own; `published` is the
    commit on main that holds it, `fault` why the Hub does not say so yet.
    """

    number: int
    name: str
    author: str
    commit: str
    address: str
    state: str = "pending"
    status: str | None = None
    reason: str = ""
    digest: str = ""
    published: str | None = None
    fault: str = ""

    def fields(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return asdict(self)


def look(repo: str, workplace: Workplace, *, token: str | None = None) -> list[Turn]:
    """Return what the queue holds and what a call would do; nothing is written anywhere."""
    hub = Incoming(repo, token)
    found = []
    for one in hub.waiting():
        there = workplace.read(one.name)
        turn = _turn(hub, one)
        if there is None:
            found.append(replace(turn, reason="to be taken up"))
        elif not _of(there, _pull(hub, one)):
            found.append(replace(turn, state="refused", reason=_whose(there)))
        else:
            moved = there.pull is not None and there.pull.commit != one.commit
            done = there.state in DONE and not moved
            why = "it moved: to be read again" if moved else "done" if done else "to be taken up"
            found.append(replace(turn, state=there.state, status=there.status, reason=why))
    return found


def take_up(
    repo: str, workplace: Workplace, bench: Bench, *, token: str | None = None,
    who: str | None = None,
) -> Iterator[Turn]:  # fmt: skip
    """Rerun every open pull request of a repository, oldest first; yield what became of each.

    All are read and written down as `pending` before the first is rerun. Raises `HubError` if the
    queue cannot be read; what fails later is the `fault` of one and leaves the others alone. At the
    end, main is told which of its submissions were withdrawn or superseded.
    """
    hub = Incoming(repo, token)
    with locked(workplace.folder / "queue"), tempfile.TemporaryDirectory() as place:
        waiting = hub.waiting()
        numbers = {one.number for one in waiting}
        read = [
            _read(hub, one, Path(place, str(one.number), one.name))
            for one in bar(waiting, len(waiting), "reading pull requests")
        ]
        with locked(workplace.folder / "round"):
            audit = open_audit(workplace, who)
            admitted = [_admit(hub, one, files, workplace, numbers) for one, files in read]
            for (one, files), found in zip(read, admitted, strict=True):
                state = "refused" if found is None else found.state
                audit.note("read", one.name, files.digest, **_told(hub, one), state=state)
        for (one, files), found in zip(read, admitted, strict=True):
            turn = _settled(hub, one, files, found, workplace, bench)
            if turn.published is not None:
                with locked(workplace.folder / "round"):
                    told = {**_told(hub, one), "commit": turn.published}
                    audit.note("committed", one.name, turn.digest, **told)
            yield turn
        made = commit_endings(hub, workplace)
        if made is not None:
            with locked(workplace.folder / "round"):
                audit.note("committed", repo=hub.name, commit=made)


class Read(NamedTuple):
    """A pull request's files, written into a folder, and what is wrong with it as a whole."""

    folder: Path
    digest: str
    record: Submission | None
    problems: list[str]


def _read(hub: Incoming, one: Waiting, folder: Path) -> tuple[Waiting, Read]:
    """Get the files of a pull request; what it is called must be what its record says."""
    found: Folder = hub.read(one)
    if found.problems:
        return one, Read(folder, digest_of({}), None, found.problems)
    for path, content in found.files.items():
        write_whole(folder / path, content)
    text = found.files.get(RECORD)
    record = read_record(text)[0] if text is not None else None
    problems = []
    if record is not None and record.name != one.name:
        problems.append(f"{RECORD} names it {record.name}; the pull request is of {one.name}")
    return one, Read(folder, read_folder(folder).digest, record, problems)


def _admit(
    hub: Incoming, one: Waiting, read: Read, workplace: Workplace, numbers: set[int]
) -> Rerun | None:
    """Write a pull request down as pending, or as rejected; None if the name is another's."""
    pull = _pull(hub, one)
    there = workplace.read(one.name)
    if there is not None and not _of(there, pull):
        left = there.pull is not None and there.pull.number not in numbers
        if there.state != "rejected" or not left:
            return None
        there = _pending(workplace, there)  # nobody waits for it any more: the name is free
    if there is not None and there.digest == read.digest and not read.problems:
        if there.pull is None or there.pull.commit == one.commit:
            return there
        there = there.model_copy(update={"pull": pull})  # the same files in a new commit
        workplace.write(there)
        return there
    if there is not None and there.state != "pending":
        if there.state == "withdrawn" or is_published(hub, there, workplace):
            return None
        there = _pending(workplace, there)  # so that other files may take its place
    state = "rejected" if read.problems else "pending"
    record = Rerun(
        schema_version=1, name=one.name, kind=read.record and read.record.kind,
        digest=read.digest, base=read.record and read.record.base, state=state,
        status="invalid" if read.problems else None, problems=read.problems, pull=pull,
        reason="" if not read.problems else "its pull request does not hold one submission",
        code_digest=code_digest(CODE),
    )  # fmt: skip
    if there is None or read.problems:
        workplace.write(record)
    return record


def _settled(
    hub: Incoming, one: Waiting, read: Read, found: Rerun | None, workplace: Workplace,
    bench: Bench,
) -> Turn:  # fmt: skip
    """Rerun one, answer and commit it; whatever fails is told and leaves the others alone."""
    turn = _turn(hub, one)
    try:
        if found is None:
            return _refused(hub, one, read, workplace, turn)
        if not read.problems:
            found = _rerun(read, found, bench, _pull(hub, one))
        turn = replace(
            turn, state=found.state, status=found.status, reason=found.reason, digest=found.digest
        )
        if found.state == "verified":
            made = commit(hub, one, found, workplace)
            if made is None:
                _pending(workplace, found)
                why = "it moved: the next call takes it up again"
                return replace(turn, state="pending", reason=why)
            hub.say(one.number, *reply_to(found, one.commit, made))
            hub.close(one.number)
            return replace(turn, published=made)
        hub.say(one.number, *reply_to(found, one.commit))
    except LotteryBenchError as error:
        return replace(turn, fault=str(error))
    except Exception as error:  # our own bug: it must not keep the others waiting
        log = workplace.logs(one.name) / "referee.txt"
        write_whole(log, traceback.format_exc().encode())
        return replace(turn, fault=f"the referee failed ({type(error).__name__}); see {log.name}")
    return turn


def _rerun(read: Read, found: Rerun, bench: Bench, pull: Pull) -> Rerun:
    """Rerun a submission; of a blocked round, its record says so."""
    if found.state in DONE:
        return found
    if read.record is not None:
        bench.references(read.record)
    return bench.again(read.folder, pull)


def _refused(hub: Incoming, one: Waiting, read: Read, workplace: Workplace, turn: Turn) -> Turn:
    """Say that a name is another's; its record is left alone."""
    there = workplace.read(one.name)
    assert there is not None
    why = _whose(there)
    record = Rerun(
        schema_version=1, name=one.name, digest=read.digest, state="rejected", status="invalid",
        reason=why, code_digest=there.code_digest,
    )  # fmt: skip
    hub.say(one.number, *reply_to(record, one.commit))
    return replace(turn, state="refused", status="invalid", reason=why, digest=read.digest)


def _pending(workplace: Workplace, there: Rerun) -> Rerun:
    """Set a record back: what was done with its files does not count any more."""
    again = there.model_copy(update={"state": "pending", "status": None, "reason": ""})
    workplace.write(again)
    return again


def _turn(hub: Incoming, one: Waiting) -> Turn:
    return Turn(one.number, one.name, one.author, one.commit, hub.page(one.number))


def _pull(hub: Incoming, one: Waiting) -> Pull:
    return Pull(repo=hub.name, number=one.number, author=one.author, commit=one.commit)


def _told(hub: Incoming, one: Waiting) -> dict[str, str | float | int | None]:
    """Return what the audit trail says of a pull request."""
    return {"repo": hub.name, "number": one.number, "author": one.author, "commit": one.commit}


def _of(there: Rerun, pull: Pull) -> bool:
    """Say whether a record is of a pull request."""
    return there.pull is not None and (there.pull.repo, there.pull.number) == (
        pull.repo, pull.number
    )  # fmt: skip


def _whose(there: Rerun) -> str:
    """Say whose a name is."""
    by = f"pull request {there.pull.number}" if there.pull else "a folder"
    return (
        f"the name {shown(there.name)} belongs to {by}, and its files are {there.state}: give this "
        "one another name"
    )
