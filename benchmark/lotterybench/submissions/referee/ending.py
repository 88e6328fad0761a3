"""How submissions and rounds end: withdrawn, superseded, closed. What was measured stays."""

from lotterybench.errors import BadRequest
from lotterybench.paths import manifest_file
from lotterybench.records import Subset, parse_ref
from lotterybench.storage import locked, write_whole
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import RECORD, Submission
from lotterybench.submissions.referee.auditing import open_audit
from lotterybench.submissions.referee.records import Pull, Rerun, Round
from lotterybench.submissions.referee.seeds import open_round
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.words import plain_line, shown

LONGEST = 200  # characters of a reason


def withdraw(name: str, reason: str, workplace: Workplace, *, who: str | None = None) -> Rerun:
    """Take a submission off the board; its record, lines and manifests stay, and say why.

    Raises `BadRequest` for a name that is none, a reason that is no line of text, and one that was
    withdrawn for another reason.
    """
    try:
        plain_line(reason)
    except ValueError as error:
        raise BadRequest(f"--reason is {shown(reason)}: {error}") from None
    if not 1 <= len(reason) <= LONGEST:
        raise BadRequest(f"--reason has {len(reason)} characters; give 1 to {LONGEST}")
    with locked(workplace.folder / "round"):
        there = _known(name, workplace)
        if there.withdrawn not in (None, reason):
            raise BadRequest(f"{name} was withdrawn before: {there.withdrawn}")
        for ref in there.selected:
            _mark(ref, workplace, withdrawn=reason)
        now = {"state": "withdrawn", "status": "withdrawn", "withdrawn": reason}
        done = there.model_copy(update=now)
        if done != there:
            workplace.write(done)
            audit = open_audit(workplace, who)
            audit.note("withdrew", name, there.digest, reason=reason, before=there.state)
        return done


def superseding_problems(
    record: Submission, pull: Pull | None, workplace: Workplace
) -> list[str]:  # fmt: skip
    """Say why a submission cannot take the place of the one that it names; [] if it may.

    Its pull request is by the author of the other's, or both name the same contact.
    """
    old = record.supersedes
    if old is None:
        return []
    there = workplace.read(old)
    if there is None:
        return [f"{RECORD}: supersedes: there is no submission {old} in this round"]
    if there.superseded_by not in (None, record.name):
        return [f"{RECORD}: supersedes: {old} is superseded by {there.superseded_by} already"]
    if there.kind != record.kind or there.base != record.base:
        what = f"a {there.kind} of {there.base}"
        return [f"{RECORD}: supersedes: {old} is {what}; one like it takes its place"]
    same_author = (
        pull is not None
        and there.pull is not None
        and (pull.repo, pull.author) == (there.pull.repo, there.pull.author)
    )
    if same_author or _contacts(record) & _contacts(_record_of(old, workplace)):
        return []
    return [
        f"{RECORD}: supersedes: {old} is somebody else's: neither its pull request nor a contact "
        "is by the same author"
    ]


def supersede(done: Rerun, workplace: Workplace) -> None:
    """Mark the submission whose place a verified one takes; nothing if it takes none.

    May be repeated. The caller holds the lock of the workplace.
    """
    there = workplace.read(done.supersedes) if done.supersedes is not None else None
    if there is None or done.state != "verified":
        return
    for ref in there.selected:
        _mark(ref, workplace, superseded_by=done.selected[0] if done.selected else None)
    if there.superseded_by != done.name:
        workplace.write(there.model_copy(update={"superseded_by": done.name}))


def close_round(workplace: Workplace, *, who: str | None = None) -> tuple[Round, list[Rerun]]:
    """End a round by showing its secret; return it, and the submissions that are not finished.

    From now on anybody can repeat the seeds, and nothing more is rerun here. Raises `BadRequest`
    if there is no round.
    """
    if not workplace.round.is_file():
        raise BadRequest("there is no round to close: --out names the folder of one")
    with locked(workplace.folder / "round"):
        secret, found = open_round(workplace)
        if found.secret is None:
            found = found.model_copy(update={"secret": secret.hex()})
            write_whole(workplace.round, found.pretty())
            open_audit(workplace, who).note("closed the round", commitment=found.commitment)
        open_states = ("pending", "running", "failed", "blocked")
        return found, [one for one in workplace.reruns() if one.state in open_states]


def check_open(found: Round) -> None:
    """Raise `BadRequest` if a round is closed: its seeds can be guessed."""
    if found.secret is not None:
        raise BadRequest("the round is closed, its secret is known: give another --out")


def _known(name: str, workplace: Workplace) -> Rerun:
    names = [one.name for one in workplace.reruns()]
    if name not in names:
        raise BadRequest(
            f"there is no submission {shown(name)} here; there are {', '.join(names) or 'none'}"
        )
    found = workplace.read(name)
    assert found is not None
    return found


def _record_of(name: str, workplace: Workplace) -> Submission | None:
    file = workplace.files(name) / RECORD
    return read_record(file.read_bytes())[0] if file.is_file() else None


def _contacts(record: Submission | None) -> set[str]:
    authors = record.authors if record is not None else []
    return {one.contact.casefold() for one in authors if one.contact is not None}


def _mark(ref: str, workplace: Workplace, **said: str | None) -> None:
    """Say something of a manifest that its digest does not cover."""
    name, version = parse_ref(ref)
    file = manifest_file(workplace.subsets, name, version or 1)
    if file.is_file():
        there = Subset.read(file.read_bytes(), file.name)
        write_whole(file, there.model_copy(update=said).pretty())
