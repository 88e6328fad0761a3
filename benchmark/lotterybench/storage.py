"""Writing files so that an interruption, a full disk or a second process loses nothing."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lotterybench.errors import Busy, NoSpace

# EFBIG is what a per-process file-size limit answers: for the user the same as a full disk.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def space_for(path: Path) -> Iterator[None]:
    """Turn the operating system's "disk full" into one line that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoSpace(
            f"no space left to write {path}; what was written before is kept: "
            "free some space and repeat the command"
        ) from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all (a rename comes last)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged(path) as draft:
        draft.write_bytes(content)


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a draft path beside `path`; rename it there on success, remove it on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        with space_for(path):
            yield draft
            draft.chmod(0o644)
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append one line in one write; if it does not fit, leave the file as it was.

    The caller holds the file's lock (`locked`).
    """
    content = line.encode() + b"\n"
    with space_for(path), path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, "short write")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path`'s lock file; the system frees it when the process ends, however it ends.

    Raises `Busy` at once if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with space_for(lock), lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"another process is writing {path}; wait for it to end, or give another --out"
            ) from None
        yield
