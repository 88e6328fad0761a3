"""File descriptors that are closed once, whatever happens."""

import os
from types import TracebackType
from typing import Self


class Handles:
    """A set of descriptors; those that were not dropped are closed when the context ends.

    Closing a number twice would close what another thread has opened under it.
    """

    def __init__(self) -> None:
        self._open: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop(*self._open)

    def keep(self, handle: int) -> int:
        """Take a descriptor over, and return it."""
        self._open.add(handle)
        return handle

    def drop(self, *handles: int) -> None:
        """Close descriptors now."""
        for handle in handles:
            self._open.discard(handle)
            os.close(handle)

    def pipe(self) -> tuple[int, int]:
        """Return the reading and the writing end of a new pipe."""
        reading, writing = os.pipe()
        return self.keep(reading), self.keep(writing)

    def memory(self, content: bytes) -> int:
        """Return a file in memory that holds `content`, to be read from its start."""
        handle = self.keep(os.memfd_create("lotterybench"))
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(handle, 0, os.SEEK_SET)
        return handle

    def folder(self, name: str, within: int) -> int:
        """Return a folder inside an open one."""
        return self.keep(os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=within))
