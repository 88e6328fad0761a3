"""The files of one commit: out of the client's cache, from the Hub what is not in it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from lotterybench.errors import BadShards, HubError
from lotterybench.hub.release import listed
from lotterybench.hub.revisions import Revision


class Snapshot:
    """Reads a commit's files, each against the sha256 that the release names for it.

    Everything that is read is hashed, whenever it is read. `notes` has what is to be said.
    """

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.notes = list(revision.notes)
        self._fresh: set[str] = set()

    def fetch(self, paths: Iterable[str]) -> None:
        """Download what the cache lacks of these files; what has arrived is kept.

        Raises `HubError` if the Hub does not give them, `BadShards` if the commit lacks one.
        """
        every = list(dict.fromkeys(paths))
        missing = self._missing(every)
        if not missing:
            return
        try:
            self._download(missing)
        except HubError as error:
            rest = self._missing(every)
            raise type(error)(
                f"{error}; the cache lacks {len(rest)} of {len(every)} files of "
                f"{self.revision.label}: {listed(rest)}"
            ) from None
        if absent := self._missing(missing):
            raise BadShards(f"{self.revision.label} has no {listed(absent)}")

    def read(self, path: str, sha256: str | None = None, size: int | None = None) -> bytes:
        """Return a file's bytes, which have this sha256 and size.

        What was damaged in the cache is downloaded anew. Raises `BadShards` for a file that is
        not the one that is named, `HubError` as `fetch` does.
        """
        self.fetch([path])
        content = self.place(path).read_bytes()
        fault = _fault(content, sha256, size)
        if fault and path not in self._fresh:
            content = self._anew(path, fault)
            fault = _fault(content, sha256, size)
        if fault:
            raise BadShards(f"{self.revision.label}: {path} {fault}")
        return content

    def peek(self, path: str, sha256: str, size: int) -> bytes:
        """Return a file's bytes as `read` does, without keeping those that the Hub has to give."""
        hub, commit = self.revision.hub, self.revision.commit
        if hub.cached(commit, path) is not None:
            return self.read(path, sha256, size)
        content = hub.read(commit, path)
        if fault := _fault(content, sha256, size):
            raise BadShards(f"{self.revision.label}: {path} {fault}")
        return content

    def again(self, path: str, fault: str) -> bytes | None:
        """Return a file downloaded anew because of a fault; None if it was in this process."""
        return None if path in self._fresh else self._anew(path, fault)

    def _download(self, paths: list[str], *, anew: bool = False) -> None:
        self._fresh.update(paths)
        if self.revision.away:
            raise HubError(self.revision.away)
        self.revision.hub.download(self.revision.commit, paths, anew=anew)

    def _anew(self, path: str, fault: str) -> bytes:
        try:
            self._download([path], anew=True)
        except HubError as error:
            raise BadShards(
                f"{self.revision.label}: {path} in the cache {fault}; it cannot be downloaded "
                f"anew: {error}"
            ) from None
        self.notes.append(
            f"{self.revision.label}: {path} in the cache was damaged and is downloaded anew"
        )
        return self.place(path).read_bytes()

    def _missing(self, paths: Iterable[str]) -> list[str]:
        hub, commit = self.revision.hub, self.revision.commit
        return [path for path in paths if hub.cached(commit, path) is None]

    def place(self, path: str) -> Path:
        """Return where a file that was fetched lies."""
        file = self.revision.hub.cached(self.revision.commit, path)
        if file is None:
            raise BadShards(f"{self.revision.label}: {path} is gone from the cache")
        return file


def _fault(content: bytes, sha256: str | None, size: int | None) -> str | None:
    """Say what is wrong with a file's bytes; None if nothing is."""
    if size is not None and len(content) < size:
        return f"is truncated: {len(content)} of {size} bytes"
    if size is not None and len(content) > size:
        return f"has {len(content)} bytes, not {size}"
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        return "was changed: its sha256 is not the one in shards.json"
    return None
