"""Which commit a release's tag names: what the Hub says, or what the cache says where it cannot."""

import os
import re
from typing import NamedTuple

from lotterybench.errors import BadRequest, HubError
from lotterybench.hub.release import listed
from lotterybench.hub.repository import COMMIT, READING, Absent, Repository

TAG = re.compile(r"v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
ORG = "LOTTERYBENCH_ORG"  # the environment variable that names whose releases are loaded


class Revision(NamedTuple):
    """A commit of a repository, the tag that was resolved to it, and what is to be said of it.

    `away` is why the Hub could not be asked, if the cache told the commit.
    """

    hub: Repository
    commit: str
    tag: str | None
    notes: tuple[str, ...] = ()
    away: str | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.hub.name} {self.tag or self.commit[:12]}"


def repo_of(base: str) -> str:
    """Return the repository of a base's releases, ORG/lotterybench-BASE."""
    return f"{os.environ.get(ORG) or 'lotterybench'}/lotterybench-{base}"


def resolve(repo: str, revision: str | None, *, cache: bool = True) -> Revision:
    """Return the commit of a release; None asks for the newest, by version.

    `revision` is a tag vX.Y.Z, or a commit, for which nothing is asked. What the Hub says of a tag
    holds; with `cache`, what the tag named when it was last downloaded is taken if the Hub does
    not answer, and a note says so. Raises `BadRequest` for a release that is not there, and
    `HubError` if nobody knows.
    """
    hub = Repository(repo, None, READING)
    if revision is not None and COMMIT.fullmatch(revision):
        return Revision(hub, revision, None)
    if revision is not None and not TAG.fullmatch(revision):
        raise BadRequest(
            f"the revision is {revision!r}; it is a release's tag, as v1.0.0, or a commit of 40 "
            "hexadecimal digits"
        )
    try:
        tags = _releases(hub.refs().tags)
    except Absent:
        raise
    except HubError as error:
        if not cache:
            raise
        return _cached(hub, revision, error)
    if not tags:
        raise BadRequest(f"{repo} has no release: no tag of the form v1.0.0")
    if revision is None:
        newest = next(iter(tags))
        note = f"{repo} {newest} is the newest release; say revision={newest!r} to stay with it"
        return Revision(hub, tags[newest], newest, (note,))
    if revision not in tags:
        raise BadRequest(f"{repo} has no release {revision}; it has {listed(tags)}")
    return Revision(hub, tags[revision], revision)


def _cached(hub: Repository, revision: str | None, error: HubError) -> Revision:
    """Return what the cache knows of a tag; raise `HubError` for one that it does not have."""
    tags = _releases(hub.cached_tags())
    there = f"the cache holds {listed(tags) or 'no release'} of {hub.name}"
    if revision is None:
        raise HubError(f"{error}; so which release is newest is unknown: name one ({there})")
    if revision not in tags:
        raise HubError(f"{error}; {there}, not {revision}")
    commit = tags[revision]
    note = (
        f"{error}; taking {hub.name} {revision} from the cache, commit {commit[:12]} when it was "
        "downloaded"
    )
    return Revision(hub, commit, revision, (note,), str(error))


def _releases(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags that are versions, newest first."""
    numbers = {tag: [int(part) for part in found.groups()] for tag in tags
               if (found := TAG.fullmatch(tag))}  # fmt: skip
    return {tag: tags[tag] for tag in sorted(numbers, key=numbers.__getitem__, reverse=True)}
