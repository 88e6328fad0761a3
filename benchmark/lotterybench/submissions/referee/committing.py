"""What is committed of a verified rerun: its own bytes, never a branch that may have moved."""

from pathlib import Path

from lotterybench.errors import BadData, HubError
from lotterybench.hub.repository import Moved
from lotterybench.paths import curves_file, manifest_file, positions_file, timings_file
from lotterybench.records import parse_ref
from lotterybench.submissions.files import digest_of
from lotterybench.submissions.pull_requests import PullRequest
from lotterybench.submissions.referee.pulls import Incoming, Waiting
from lotterybench.submissions.referee.records import Rerun
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sending import changed_files

TRIES = 3  # commits on a main that moves meanwhile


class Gone(HubError):
    """The pull request is no longer open where it was read."""


def commit(hub: Incoming, one: Waiting, found: Rerun, workplace: Workplace) -> str | None:
    """Commit what was rerun to main; return the commit that holds it, None if it holds it not.

    None is for a pull request that moved since it was read: its new files count. Raises `Gone` for
    one that is not open any more, `HubError` for a name that main has other files of.
    """
    files = publication_of(found, workplace)
    title = f"Rerun of {found.name}, {found.digest[:12]}"
    own = {path: text for path, text in files.items() if path.startswith(one.folder)}
    for _ in range(TRIES):
        main = hub.main()
        if not hub.changed(main, files):
            commits = hub.history(anew=True)
            return next((made for made, said in commits.items() if said == title), main)
        there = hub.files(main, one.folder.rstrip("/"))
        if there and changed_files(there, own) != ({}, []):
            raise HubError(f"main of {hub.name} has other files under {one.folder}")
        status = hub.status(one.number)
        if status != "open":
            raise Gone(f"pull request {one.number} is {status}; nothing was committed")
        if hub.head(PullRequest(one.number, "open").revision) != one.commit:
            return None
        try:
            return hub.commit(files, parent=main, message=title)
        except Moved:
            continue
    raise HubError(f"main of {hub.name} keeps moving; repeat the command")


def commit_endings(hub: Incoming, workplace: Workplace) -> str | None:
    """Let main say which of its submissions were withdrawn or superseded; return the commit.

    Their records and manifests are written anew, everything else of them stays. Returns None if
    main says so already.
    """
    for _ in range(TRIES):
        main = hub.main()
        known = hub.files(main, "reruns")
        files: dict[str, bytes] = {}
        for one in workplace.reruns():
            ended = one.withdrawn is not None or one.superseded_by is not None
            path = f"reruns/{one.name}/rerun.json"
            if ended and path in known:
                files[path] = workplace.record(one.name).read_bytes()
                for file in _manifests(one, workplace):
                    files[file.relative_to(workplace.results).as_posix()] = file.read_bytes()
        changed = hub.changed(main, files)
        if not changed:
            return None
        try:
            return hub.commit(changed, parent=main, message="Withdrawn and superseded")
        except Moved:
            continue
    raise HubError(f"main of {hub.name} keeps moving; repeat the command")


def is_published(hub: Incoming, found: Rerun, workplace: Workplace) -> bool:
    """Say whether a verified rerun is on main."""
    if found.state != "verified":
        return False
    return not hub.changed(hub.main(), publication_of(found, workplace))


def publication_of(found: Rerun, workplace: Workplace) -> dict[str, bytes]:
    """Return what is committed of a verified rerun, by path: its files, lines and manifests.

    Raises `BadData` if the files that were taken are not those that were rerun.
    """
    place = workplace.files(found.name)
    taken = {
        file.relative_to(place).as_posix(): file.read_bytes()
        for file in sorted(place.rglob("*"))
        if file.is_file()
    }
    if digest_of(taken) != found.digest:
        raise BadData(f"the files that were taken of {found.name} are not those that were rerun")
    files = {f"submissions/{found.name}/{path}": text for path, text in taken.items()}
    lines = [workplace.results / path for path in found.results]
    beside = [of(file) for file in lines for of in (timings_file, curves_file)]
    there = [file for file in beside if file.is_file()]
    for file in (*lines, *there, *_manifests(found, workplace)):
        inside = file.relative_to(workplace.results).as_posix()
        root = "" if inside.startswith("subsets/") else "results/"
        files[f"{root}{inside}"] = file.read_bytes()
    for each in (found.name, found.supersedes):
        if each is not None and (record := workplace.record(each)).is_file():
            files[f"reruns/{each}/rerun.json"] = record.read_bytes()
    return files


def _manifests(found: Rerun, workplace: Workplace) -> list[Path]:
    """Return the manifests that a submission is or gave, with their positions."""
    files = []
    for ref in found.selected:
        name, version = parse_ref(ref)
        manifest = manifest_file(workplace.subsets, name, version or 1)
        files += [manifest, positions_file(manifest)]
    return [file for file in files if file.is_file()]
