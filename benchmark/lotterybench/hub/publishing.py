"""Publishing a shard folder: one commit, checked where it arrived, then a tag on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lotterybench.errors import BadRequest, HubError
from lotterybench.hub.release import (
    Plan,
    Release,
    departures,
    listed,
    plan_of,
    read_release,
    refuse_previews,
    refuse_strays,
)
from lotterybench.hub.repository import Moved, Refs, Refused, Repository, Taken
from lotterybench.hub.revisions import TAG

AGAIN = "repeat the command to continue"
UNTOUCHED = f"nothing was changed; {AGAIN}"


@dataclass(frozen=True)
class Published:
    """What `publish` did, or would do; `commit` is the one that the tag names, if there is one.

    `state` is `new` (committed and tagged), `tagged` (main held the files already), `before` (the
    tag was there with the same files) or `planned` (a dry run).
    """

    repo: str
    tag: str
    state: Literal["new", "tagged", "before", "planned"]
    commit: str | None
    plan: Plan

    def fields(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        plan = {name: value for name, value in vars(self.plan).items() if name != "tree"}
        return {**vars(self), "plan": plan}


def publish(
    folder: Path,
    repo: str,
    tag: str,
    *,
    delete: bool = False,
    dry_run: bool = False,
    token: str | None = None,
) -> Published:
    """Make a shard folder the release `tag` of the dataset repository `repo`.

    Repeating it is safe: what is there already is found, and a release that is complete changes
    nothing. With `delete`, files that the folder lacks are removed; with `dry_run`, nothing is
    sent. Raises `BadShards` for a folder with problems, `BadRequest` for a tag that exists on
    other files, and `HubError` for what the Hub refuses; its line says what state it is in.
    """
    if not TAG.fullmatch(tag):
        raise BadRequest(f"--tag is {tag!r}; it is vMAJOR.MINOR.PATCH, as v1.0.0")
    hub = Repository(repo, token)
    release = read_release(folder)
    refuse_previews(release, tag)
    with _leaving(UNTOUCHED):
        refs = hub.refs()
        if tag in refs.tags:
            return _found(hub, release, tag, refs, delete=delete)
        plan = plan_of(release, hub.tree(refs.main), refs.main, delete=delete)
    refuse_strays(plan, repo)
    if dry_run:
        return Published(repo, tag, "planned", None, plan)
    commit, plan = _commit(hub, release, plan, tag, delete=delete)
    with _leaving(f"main is at {commit}, the tag {tag} is missing; {AGAIN}"):
        _check(hub, release, plan, commit)
        _tag(hub, release, plan, commit, tag)
    return Published(repo, tag, "tagged" if plan.empty else "new", commit, plan)


def _found(hub: Repository, release: Release, tag: str, refs: Refs, *, delete: bool) -> Published:
    """Return the release that a tag names; raise `BadRequest` if it has other files."""
    commit = refs.tags[tag]
    plan = plan_of(release, hub.tree(commit), commit, delete=delete)
    if not plan.empty:
        other = listed(plan.added + plan.changed + plan.deleted)
        raise BadRequest(
            f"{hub.name} has {tag} already, and it differs in {other}; a release never changes: "
            "give the next version as --tag"
        )
    return Published(hub.name, tag, "before", commit, plan)


def _commit(
    hub: Repository, release: Release, plan: Plan, tag: str, *, delete: bool
) -> tuple[str, Plan]:
    """Make the commit, unless main holds the files already; return it and the plan it follows."""
    for _ in range(2):
        if plan.empty:
            return plan.parent, plan
        try:
            return _send(hub, release, plan, tag), plan
        except Moved:
            with _leaving(UNTOUCHED):
                plan = _anew(hub, release, plan, delete=delete)
    raise HubError(f"main of {hub.name} keeps moving; {UNTOUCHED}")


def _anew(hub: Repository, release: Release, plan: Plan, *, delete: bool) -> Plan:
    """Plan on top of the commit that main moved to.

    Its files must be those of the old plan, or the release's own, which a request leaves whose
    answer was lost; raises `HubError` for others.
    """
    main = hub.refs().main
    plan, before = plan_of(release, hub.tree(main), main, delete=delete), plan
    if not plan.empty and plan.tree != before.tree:
        raise HubError(
            f"main moved from {before.parent} to {main} meanwhile, and holds other files now: "
            "look at them first"
        )
    return plan


def _send(hub: Repository, release: Release, plan: Plan, tag: str) -> str:
    with _leaving(UNTOUCHED):
        files = hub.send(release, plan.added + plan.changed)
        if touched := release.touched():
            raise HubError(f"{listed(touched)} changed while the folder was sent")
    try:
        return hub.commit(files, plan.deleted, parent=plan.parent, message=f"Release {tag}")
    except HubError as error:
        state = UNTOUCHED if isinstance(error, Refused) else f"the commit may be there; {AGAIN}"
        raise HubError(f"{error}; {state}") from None


def _check(hub: Repository, release: Release, plan: Plan, commit: str) -> None:
    """Compare the files that a commit holds with the folder's; raise `HubError` if any differs."""
    if wrong := departures(release, plan, hub.tree(commit)):
        raise HubError(f"{hub.name} does not hold what was sent: {listed(wrong)} differ")


def _tag(hub: Repository, release: Release, plan: Plan, commit: str, tag: str) -> None:
    try:
        hub.tag(tag, commit)
    except Taken:
        theirs = hub.refs().tags.get(tag)
        if theirs is None or departures(release, plan, hub.tree(theirs)):
            raise BadRequest(
                f"somebody else made {tag} of {hub.name} meanwhile, on other files; "
                "give the next version as --tag"
            ) from None


@contextmanager
def _leaving(state: str) -> Iterator[None]:
    """Add to a failure's line the state that it leaves."""
    try:
        yield
    except HubError as error:
        raise HubError(f"{error}; {state}") from None
