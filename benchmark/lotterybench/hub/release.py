"""What a release is: the files of a checked folder, and what they change in a repository."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest, BadShards
from lotterybench.hub.card import card_problems
from lotterybench.manifests import load_base
from lotterybench.shards import INDEX, ShardIndex, shard_problems

PREVIEW = re.compile(r"manifests/[^/]+/[^/]+/v0\.json")
# The Hub makes it with the repository; it says which files are large, and belongs to no release.
THEIRS = ".gitattributes"
SHOWN = 5  # problems or paths in a message
Stamps = dict[str, tuple[int, int]]  # size and time of the last change, by path


class Held(NamedTuple):
    """A file in a repository: bytes, git's blob id, and the sha256 of a large file (else None)."""

    size: int
    blob: str
    sha256: str | None


Tree = dict[str, Held]


class Local(NamedTuple):
    """A file of the folder, with the sha256 that the index lists."""

    path: Path
    size: int
    sha256: str

    def is_in(self, held: Held) -> bool:
        """Say whether a repository's file has these bytes: by sha256, for small ones by blob id."""
        if held.sha256 is not None:
            return (held.size, held.sha256) == (self.size, self.sha256)
        return held.size == self.size and held.blob == git_blob(self.path.read_bytes())


@dataclass(frozen=True)
class Release:
    """The files of a folder without problems, by path; `stamps` tell whether they changed since."""

    folder: Path
    files: dict[str, Local]
    stamps: Stamps = field(repr=False)

    def touched(self) -> list[str]:
        """Return the files that were written since the folder was read."""
        now = _stamps(self.folder, self.files)
        return sorted(path for path in self.files if now.get(path) != self.stamps.get(path))


@dataclass(frozen=True)
class Plan:
    """What a release changes on top of the commit `parent`, whose files are `tree`.

    `kept` are files of older releases that the folder lacks and that stay; `bytes` is the size of
    what is sent.
    """

    parent: str
    added: list[str]
    changed: list[str]
    deleted: list[str]
    kept: list[str]
    unchanged: list[str]
    bytes: int
    tree: Tree = field(repr=False)

    @property
    def empty(self) -> bool:
        """Whether the commit `parent` holds the release already."""
        return not (self.added or self.changed or self.deleted)


def read_release(folder: Path) -> Release:
    """Read a shard folder that `lotterybench check` finds nothing wrong with.

    Raises `BadShards` naming the first problems, `BadRequest` for a folder of something else.
    """
    if not (folder / INDEX).is_file():
        raise BadRequest(f"there is no {INDEX}; publish a folder that `lotterybench shards` wrote")
    every = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    stamps = _stamps(folder, every)
    _none(shard_problems(folder))
    content = (folder / INDEX).read_bytes()
    index = ShardIndex.read(content, INDEX)
    _none(card_problems(folder, index))
    if load_base(folder / index.base_path).sealed and not index.sealed:
        raise BadRequest(
            f"images of {index.base} may not be published; publish a folder that "
            "`lotterybench shards --seal` wrote"
        )
    digests = {shard.path: shard.sha256 for shard in index.tars()} | index.others
    digests[INDEX] = hashlib.sha256(content).hexdigest()
    files = {
        path: Local(folder / path, (folder / path).stat().st_size, digests[path])
        for path in sorted(digests)
    }
    return Release(folder, files, stamps)


def plan_of(release: Release, tree: Tree, parent: str, *, delete: bool) -> Plan:
    """Compare a release with the files of a commit; nothing is left over with `delete`."""
    there = {path: tree[path] for path in release.files if path in tree}
    same = {path for path, held in there.items() if release.files[path].is_in(held)}
    added = [path for path in release.files if path not in there]
    changed = [path for path in there if path not in same]
    left = sorted(tree.keys() - release.files.keys() - {THEIRS})
    return Plan(
        parent=parent,
        added=added,
        changed=changed,
        deleted=left if delete else [],
        kept=[] if delete else left,
        unchanged=sorted(same),
        bytes=sum(release.files[path].size for path in added + changed),
        tree=tree,
    )


def departures(release: Release, plan: Plan, tree: Tree) -> list[str]:
    """Return the paths whose bytes in `tree` are not what the plan leads to: all, sorted."""
    wanted: dict[str, Local | Held] = {path: plan.tree[path] for path in plan.kept}
    wanted |= release.files
    found = []
    for path in sorted((wanted.keys() | tree.keys()) - {THEIRS}):
        want, held = wanted.get(path), tree.get(path)
        if want is None or held is None:
            same = False
        else:
            same = want.is_in(held) if isinstance(want, Local) else want == held
        if not same:
            found.append(path)
    return found


def strays_of(repo: str) -> set[str]:
    """Return the files that make `load_dataset` ignore the card.

    It reads `.huggingface.yaml` and `dataset_infos.json` beside the card, and refuses a repository
    with a script that has the repository's name.
    """
    return {".huggingface.yaml", "dataset_infos.json", f"{repo.split('/')[-1]}.py"}


def refuse_strays(plan: Plan, repo: str) -> None:
    """Raise `BadRequest` if a file stays that makes `load_dataset` ignore the card."""
    there = sorted(strays_of(repo) & {*plan.kept, *plan.added, *plan.changed, *plan.unchanged})
    if there:
        raise BadRequest(
            f"{repo} would hold {listed(there)}, with which load_dataset does not go by the card; "
            "give --delete to remove what the folder lacks"
        )


def refuse_previews(release: Release, tag: str) -> None:
    """Raise `BadRequest` for manifests of version 0 under a tag of major version 1 or above.

    A preview may change or vanish; whoever loads v1.0.0 relies on what does not.
    """
    previews = [path for path in release.files if PREVIEW.fullmatch(path)]
    if previews and not tag.startswith("v0."):
        raise BadRequest(
            f"{tag} would hold previews (version 0): {listed(previews)}; give a tag "
            "v0.MINOR.PATCH, or write the shards without them"
        )


def listed(paths: Iterable[str]) -> str:
    """Return the first few paths as text on one line, whatever they are made of."""
    every = [path if path.isprintable() else ascii(path) for path in paths]
    rest = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + rest


def git_blob(content: bytes) -> str:
    """Return the id that git gives to a file's bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _stamps(folder: Path, paths: Iterable[str]) -> Stamps:
    stats = {path: (folder / path).stat() for path in paths if (folder / path).is_file()}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def _none(problems: list[str]) -> None:
    if problems:
        raise BadShards(
            f"only a folder without problems is published; {len(problems)} found by "
            f"`lotterybench check`: {'; '.join(problems[:SHOWN])}"
        )
