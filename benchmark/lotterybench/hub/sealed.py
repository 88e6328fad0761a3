"""A sealed release on the Hub: its few files, checked, in a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lotterybench.errors import BadRequest
from lotterybench.hub.revisions import resolve
from lotterybench.hub.snapshot import Snapshot
from lotterybench.shards import INDEX, ShardIndex
from lotterybench.storage import write_whole


@contextmanager
def sealed_release(repo: str, tag: str) -> Iterator[Path]:
    """Yield a folder with the files of a sealed release, each with the sha256 that its index names.

    Raises `BadRequest` for a release that is not sealed, before its tars are downloaded, and what
    `resolve` and `Snapshot.read` do.
    """
    snapshot = Snapshot(resolve(repo, tag))
    content = snapshot.read(INDEX)
    index = ShardIndex.read(content, f"{INDEX} of {snapshot.revision.label}")
    if not index.sealed:
        raise BadRequest(
            f"{snapshot.revision.label} is not sealed: load it with load_dataset or load_subset"
        )
    snapshot.fetch(index.others)
    with tempfile.TemporaryDirectory(prefix="lotterybench-") as name:
        for path, digest in index.others.items():
            write_whole(Path(name) / path, snapshot.read(path, digest))
        write_whole(Path(name) / INDEX, content)
        yield Path(name)
