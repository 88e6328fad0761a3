"""Checking a release where it lies: what the repository holds, and what users get of it."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRecord, LotteryBenchError
from lotterybench.hub.card import card_problems
from lotterybench.hub.release import Held, git_blob, listed, strays_of
from lotterybench.hub.revisions import resolve
from lotterybench.hub.snapshot import Snapshot
from lotterybench.shards import INDEX, ShardIndex, shard_problems


class Checked(NamedTuple):
    """A release, by name and commit, and everything that is wrong with it."""

    label: str
    commit: str
    problems: list[str]


def check_release(repo: str, revision: str | None) -> Checked:
    """Download all of a release and check it; `revision` None means the newest.

    Beside what `lotterybench check` finds in a folder: files of the repository that are not those
    of the index, a card that does not make `load_dataset` read them, and files that overrule the
    card. Raises `HubError` if the Hub does not answer, `BadRequest` for a release that is not
    there.
    """
    found = resolve(repo, revision, cache=False)
    snapshot = Snapshot(found)
    tree = found.hub.tree(found.commit)
    problems = [
        f"{listed([path])} lies there, with which load_dataset does not go by the card"
        for path in sorted(strays_of(repo) & tree.keys())
    ]
    if INDEX not in tree:
        return Checked(found.label, found.commit, [*problems, f"there is no {INDEX}"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            problems += _linked(snapshot, {INDEX: tree[INDEX]}, folder)
            index = ShardIndex.read((folder / INDEX).read_bytes(), INDEX)
        except BadRecord as error:
            problems.append(str(error))
        else:
            rest = {path: tree[path] for path in index.files() & tree.keys() - {INDEX}}
            problems += [*_linked(snapshot, rest, folder), *shard_problems(folder)]
            problems += _card_problems(folder, index)
    return Checked(found.label, found.commit, list(dict.fromkeys(problems)))


def _linked(snapshot: Snapshot, files: dict[str, Held], folder: Path) -> Iterator[str]:
    """Put links to files of the commit into a folder; yield those that are not what it lists."""
    snapshot.fetch(files)
    for path in sorted(files):
        held = files[path]
        fault = "is not the one that the repository lists"
        if not _is(snapshot.read(path), held):
            again = snapshot.again(path, fault)
            if again is None or not _is(again, held):
                yield f"{path}: what the Hub sends {fault}"
        link = folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(snapshot.place(path).resolve())


def _is(content: bytes, held: Held) -> bool:
    """Say whether bytes are a repository's file."""
    if held.sha256 is not None:
        return hashlib.sha256(content).hexdigest() == held.sha256
    return git_blob(content) == held.blob


def _card_problems(folder: Path, index: ShardIndex) -> list[str]:
    """Compare the card with the index; what it takes and is missing is named already."""
    try:
        return card_problems(folder, index)
    except (LotteryBenchError, OSError):
        return []
