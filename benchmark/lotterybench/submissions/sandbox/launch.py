"""The step between the referee and bwrap, a script of its own: limits, and root given up.

It imports the standard library alone. Started by root, it first shows what the sandbox will read
at places that everyone may enter, in a mount namespace of its own, and becomes a user number that
nobody has: bwrap would else map the sandboxed user to root, to whom files in /proc belong.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

NEW_MOUNTS = 0x00020000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
PARENT_DIES = 1  # PR_SET_PDEATHSIG
STAGE = Path("/mnt")  # there is one on every Linux; only this process's own copy is covered


def main() -> None:
    """Do what the JSON object in the first argument says, and become its command."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if asked["user"] is not None:
        stage(libc, asked["sources"])
        os.setgroups([])
        os.setresgid(asked["user"], asked["user"], asked["user"])
        os.setresuid(asked["user"], asked["user"], asked["user"])
    libc.prctl(PARENT_DIES, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != asked["parent"]:
        sys.exit("the referee is gone")
    for name, wanted in asked["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (limit, limit))
    os.execv(asked["command"][0], asked["command"])


def stage(libc: ctypes.CDLL, sources: list[str]) -> None:
    """Show the n-th source at /mnt/n, to this process and its children alone."""
    _done(libc.unshare(NEW_MOUNTS))
    _done(libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None))
    opened = [os.open(source, os.O_PATH) for source in sources]
    _done(libc.mount(b"none", os.fsencode(STAGE), b"tmpfs", 0, b"mode=755"))
    for number, (source, handle) in enumerate(zip(sources, opened, strict=True)):
        place = STAGE / str(number)
        place.mkdir() if Path(source).is_dir() else place.touch()
        seen = f"/proc/self/fd/{handle}".encode()
        _done(libc.mount(seen, os.fsencode(place), None, BIND | RECURSIVE, None))
        os.close(handle)


def _done(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        sys.exit(f"root may not make a mount namespace here: {os.strerror(number)}")


if __name__ == "__main__":
    main()
