"""Sending a submission: one pull request, found again, brought up to date, and checked there."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lotterybench.errors import BadRequest, HubError
from lotterybench.hub.release import Held, git_blob
from lotterybench.hub.repository import Moved, Refused
from lotterybench.submissions.checking import Checked
from lotterybench.submissions.pull_requests import PullRequest, PullRequests
from lotterybench.submissions.records import NOBODY, Submission
from lotterybench.submissions.summary import description_of, title_of

AGAIN = "repeat the command to continue"
UNTOUCHED = f"nothing was changed; {AGAIN}"


@dataclass(frozen=True)
class Sent:
    """What `send` did: `state` is `new`, `updated`, `before` (it lay there) or `merged`."""

    repo: str
    number: int
    address: str
    state: Literal["new", "updated", "before", "merged"]
    digest: str

    def fields(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return asdict(self)


def send(checked: Checked, repo: str, *, token: str | None = None) -> Sent:
    """Make a checked submission a pull request of the dataset repository `repo`.

    Repeating it is safe: an author's open pull request of that name is found, and left alone if it
    holds the same files, else brought up to date. Raises `BadRequest` for a submission with
    problems and for a name that is merged, closed or another's, and `HubError` for what the Hub
    refuses; its line says what state it is in.
    """
    record = _sound(checked)
    hub = PullRequests(repo, token)
    folder = f"submissions/{record.name}"
    files = {f"{folder}/{path}": content for path, content in checked.folder.files.items()}
    title = title_of(record)
    with leaving(UNTOUCHED):
        author = hub.author()
        mine = hub.by(author, title)
        pull = next((one for one in mine if one.status in ("open", "draft")), None)
        if pull is None and (merged := _ended(hub, mine, files, folder)):
            return Sent(repo, merged.number, hub.address(merged), "merged", checked.digest)
    state: Literal["new", "updated", "before"]
    if pull is None:
        pull = _opened(hub, files, title, description_of(record, checked.digest))
        state = "new"
        with leaving(f"pull request {pull.number} is open; {AGAIN}"):
            # Some ways to open one leave a draft, which lists of open ones do not show.
            pull = next((one for one in hub.by(author, title) if one.number == pull.number), pull)
    else:
        state = _updated(hub, pull, files, folder, f"{title}, {checked.digest[:12]}")
    with leaving(f"pull request {pull.number} may be incomplete; {AGAIN}"):
        if pull.status == "draft":
            hub.ready(pull)
        there = hub.files(hub.head(pull.revision), folder)
        if changed_files(there, files)[0] or there.keys() - files.keys():
            raise HubError(f"pull request {pull.number} does not hold what was sent")
    return Sent(repo, pull.number, hub.address(pull), state, checked.digest)


def changed_files(
    there: Mapping[str, Held], files: Mapping[str, bytes]
) -> tuple[dict[str, bytes], list[str]]:
    """Return the files that a commit does not hold like this, and those that it has beside them."""
    changed = {
        path: content for path, content in files.items() if not _same(there.get(path), content)
    }
    return changed, sorted(there.keys() - files.keys())


def _same(held: Held | None, content: bytes) -> bool:
    """Say whether a commit's file has this content: by sha256 of large files, by git's id else."""
    if held is None or held.size != len(content):
        return False
    if held.sha256 is not None:
        return held.sha256 == hashlib.sha256(content).hexdigest()
    return held.blob == git_blob(content)


def _sound(checked: Checked) -> Submission:
    if checked.record is None or checked.problems:
        raise BadRequest(
            f"the submission has {len(checked.problems)} problems: `lotterybench submit check` "
            "lists them"
        )
    if any(author.name == NOBODY for author in checked.record.authors):
        raise BadRequest(f"the author is still {NOBODY!r}; write who you are into submission.toml")
    return checked.record


def _ended(
    hub: PullRequests, mine: list[PullRequest], files: Mapping[str, bytes], folder: str
) -> PullRequest | None:
    """Return the pull request whose very files are on main; raise `BadRequest` for a name in use.

    The referee commits files itself and closes the pull request; others may merge it.
    """
    there = hub.files("main", folder)
    merged = next((one for one in mine if one.status == "merged"), None)
    if mine and there and changed_files(there, files) == ({}, []):
        return merged or mine[-1]
    name = folder.partition("/")[2]
    other = f"give this one another name, as {name}-2"
    if merged is not None:
        raise BadRequest(
            f"{name} was merged as pull request {merged.number} of {hub.name}, and does not change "
            f"any more; {other}"
        )
    if there:
        whose = "with other files, and it does not change any more" if mine else "of somebody else"
        raise BadRequest(f"{hub.name} has a submission {name} {whose}; {other}")
    if mine:
        raise BadRequest(
            f"pull request {mine[-1].number} of {hub.name} was closed; reopen it there and repeat "
            f"the command, or {other}"
        )
    return None


def _opened(
    hub: PullRequests, files: Mapping[str, bytes], title: str, description: str
) -> PullRequest:
    try:
        return hub.open(files, title, description)
    except HubError as error:
        state = UNTOUCHED if isinstance(error, Refused) else f"it may be open; {AGAIN}"
        raise HubError(f"{error}; {state}") from None


def _updated(
    hub: PullRequests, pull: PullRequest, files: Mapping[str, bytes], folder: str, message: str
) -> Literal["updated", "before"]:
    """Let a pull request hold these files in its folder; say whether it did before."""
    for _ in range(2):
        with leaving(UNTOUCHED):
            head = hub.head(pull.revision)
            changed, gone = changed_files(hub.files(head, folder), files)
        if not changed and not gone:
            return "before"
        try:
            hub.update(pull, changed, gone, parent=head, message=message)
        except Moved:
            continue
        except HubError as error:
            state = UNTOUCHED if isinstance(error, Refused) else f"it may be changed; {AGAIN}"
            raise HubError(f"{error}; {state}") from None
        return "updated"
    raise HubError(f"pull request {pull.number} of {hub.name} keeps moving; {UNTOUCHED}")


@contextmanager
def leaving(state: str) -> Iterator[None]:
    """Add to a failure's line the state that it leaves."""
    try:
        yield
    except HubError as error:
        raise HubError(f"{error}; {state}") from None
