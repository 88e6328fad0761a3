"""Copying what a submission left to the referee's own disk: plain files, and nothing else.

Everything is opened relative to a descriptor of its folder and without following links; a file is
what the opened descriptor says that it is. One thing that is no plain file, and nothing is taken:
a training has no use for links, pipes and sockets among its results. Sparse files count by their
apparent size.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lotterybench.errors import BadSubmission
from lotterybench.storage import space_for
from lotterybench.submissions.sandbox.budget import Budget
from lotterybench.submissions.sandbox.output import one_line

DEEPEST = 8
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
PIECE = 2**20
KINDS = {
    stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder",
}  # fmt: skip


def deliver(folder: int, writes: Path, budget: Budget) -> list[str]:
    """Copy all files of an open folder to `writes`; return their paths in it, sorted.

    Raises `BadSubmission` before anything is written for what may not be there: other things than
    files and folders, files with a second name, more or larger ones than the budget has.
    """
    found = sorted(_walk(folder, (), budget))
    total = sum(size for _, size in found)
    if total > budget.disk_bytes:
        raise BadSubmission(
            f"it left files of {total} bytes in all; at most {budget.disk_bytes} are allowed"
        )
    writes.mkdir(parents=True, exist_ok=True)
    for parts, size in found:
        target = writes.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened(folder, parts) as (file, _), space_for(target), target.open("xb") as copy:
            left = size
            while left and (piece := file.read(min(left, PIECE))):
                copy.write(piece)
                left -= len(piece)
    return ["/".join(parts) for parts, _ in found]


def _walk(
    folder: int, above: tuple[str, ...], budget: Budget
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield path and size of each file of an open folder, depth first."""
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            path = (*above, entry.name)
            if number >= budget.files:
                raise BadSubmission(f"it left more than {budget.files} files in one folder")
            if not NAME.fullmatch(entry.name):
                raise BadSubmission(
                    f"it left something called {one_line(entry.name)!a}; names are up to 100 "
                    "of A-Z, a-z, 0-9, '_', '.' and '-', and begin with none of the last two"
                )
            if entry.is_dir(follow_symlinks=False):
                if len(path) > DEEPEST:
                    raise BadSubmission(f"it left folders that lie deeper than {DEEPEST}")
                with _inside(folder, entry.name, "/".join(path)) as inner:
                    yield from _walk(inner, path, budget)
            else:
                with opened(folder, (entry.name,), "/".join(path)) as (_, size):
                    if size > budget.file_bytes:
                        raise BadSubmission(
                            f"{'/'.join(path)} has {size} bytes; {budget.file_bytes} are allowed"
                        )
                    yield path, size


@contextmanager
def opened(
    folder: int, parts: tuple[str, ...], name: str | None = None
) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a plain file inside an open folder, and its size; `name` is what messages call it."""
    name = name or "/".join(parts)
    if len(parts) > 1:
        with (
            _inside(folder, parts[0], name) as inner,
            opened(inner, parts[1:], name) as found,
        ):
            yield found
        return
    # without waiting: opening a pipe would wait for its other end
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    handle = _open(folder, parts[0], flags, name)
    with os.fdopen(handle, "rb", closefd=True, buffering=0) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise _no_file(name, about.st_mode)
        if about.st_nlink != 1:
            raise BadSubmission(f"{name} has {about.st_nlink} names; hard links are refused")
        yield file, about.st_size


@contextmanager
def _inside(folder: int, part: str, name: str) -> Iterator[int]:
    handle = _open(folder, part, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, name)
    try:
        yield handle
    finally:
        os.close(handle)


def _open(folder: int, part: str, flags: int, name: str) -> int:
    """Open without following a link; say in one line what is there instead."""
    try:
        before = os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode
        if flags & os.O_DIRECTORY == 0 and not stat.S_ISREG(before):
            raise _no_file(name, before)
        return os.open(part, flags | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise BadSubmission(f"{name} is missing") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise BadSubmission(f"{name} is not reached by folders alone") from None
        raise BadSubmission(f"{name} cannot be read ({os.strerror(error.errno or 0)})") from None


def _no_file(name: str, mode: int) -> BadSubmission:
    kind = KINDS.get(stat.S_IFMT(mode), "something else")
    return BadSubmission(f"{name} is {kind}; only plain files are taken")
