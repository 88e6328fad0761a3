"""Starting a sandbox, and holding what outlives it.

How outputs come out: bwrap waits, its root built and nothing of the submission's started, until the
referee has opened the output folder through /proc/<pid>/root. That descriptor keeps the tmpfs
when the namespace that mounted it is gone. So the referee reads the folder after the last process
of the sandbox has died, and nobody can change what is being read; no daemon inside, no stream to
parse and no folder on the host that could be left behind is needed.
"""

import contextlib
import json
import os
import resource
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.submissions.sandbox import bubblewrap, launch
from lotterybench.submissions.sandbox.bubblewrap import Bwrap
from lotterybench.submissions.sandbox.budget import Budget
from lotterybench.submissions.sandbox.handles import Handles
from lotterybench.submissions.sandbox.limits import per_process
from lotterybench.submissions.sandbox.output import one_line
from lotterybench.submissions.sandbox.places import Mount, hidden
from lotterybench.submissions.sandbox.syscalls import seccomp_filter

PASSWD = b"nobody:x:65534:65534::/scratch/tmp:\n"
STARTING = 60.0  # seconds: a machine whose processors are all busy takes some to build a root
OWN = 3  # processes that are bwrap's
# User numbers that are nobody's (systemd's table of user and group ids).
FREE_USERS, FREE_COUNT = 0x70000000, 0x0FFE0000


class Box(NamedTuple):
    """A sandbox: bwrap, a pidfd of its first process, and what is read from outside.

    `proc` lists the processes inside; `scratch` is the file system that they can write, `out` its
    folder of outputs, `log` the reading end of their output.
    """

    bwrap: subprocess.Popen[bytes]
    init: int
    proc: int
    scratch: int
    out: int
    log: int

    def kill(self) -> None:
        """End every process inside; return when none is left."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.init, signal.SIGKILL)
        waiting = select.poll()  # of the first one of a namespace the system tells last
        waiting.register(self.init, select.POLLIN)
        waiting.poll()
        self.bwrap.wait()


@contextlib.contextmanager
def started(
    command: Sequence[str], mounts: list[Mount], variables: Mapping[str, str], budget: Budget
) -> Iterator[tuple[Box, int]]:
    """Yield a sandbox and the descriptor to which one byte is written to let the command go.

    Every process inside is dead when the context ends. Raises `BadRequest` with bwrap's own words
    where no sandbox can be had.
    """
    bwrap = bubblewrap.find()
    token = f".{secrets.token_hex(8)}"
    staged = os.geteuid() == 0
    with contextlib.ExitStack() as stack:
        handles = stack.enter_context(Handles())
        (info, told), (wait, go), (log, printed) = (handles.pipe() for _ in range(3))
        passed = {
            "info": told, "block": wait, "seccomp": handles.memory(seccomp_filter()),
            "passwd": handles.memory(PASSWD),
        }  # fmt: skip
        stage = _stage(bwrap, mounts) if staged else {}
        shown = [mount._replace(source=stage.get(mount.source, mount.source)) for mount in mounts]
        known = bubblewrap.options(bwrap.binary)
        given = bubblewrap.arguments(
            known, shown, hidden(mounts), variables, budget.disk_bytes, passed, token
        )
        told_by = handles.memory(bubblewrap.encoded(given))
        limits = per_process(budget)
        if staged:  # the user number is new, so only processes of the sandbox count
            limits["RLIMIT_NPROC"] = budget.pids + OWN
        asked = {
            "parent": os.getpid(), "limits": limits, "sources": [str(each) for each in stage],
            "user": FREE_USERS + secrets.randbelow(FREE_COUNT) if staged else None,
            "command": [str(bwrap.seen(stage)), "--args", str(told_by), "--", *command],
        }  # fmt: skip
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", launch.__file__, json.dumps(asked)],
            stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, cwd="/", env={},
            pass_fds=(*passed.values(), told_by),
        )  # fmt: skip
        stack.callback(_end, child)
        handles.drop(*passed.values(), told_by, printed)
        first = _first_process(info, child, log)
        init = handles.keep(os.pidfd_open(first))
        root = handles.keep(_root(first, token, child, log))
        proc, scratch = handles.folder("proc", root), handles.folder("scratch", root)
        box = Box(child, init, proc, scratch, handles.folder("out", scratch), log)
        if not staged:
            most = budget.pids + OWN
            resource.prlimit(first, resource.RLIMIT_NPROC, (most, most))
        stack.callback(box.kill)
        yield box, go


def _stage(bwrap: Bwrap, mounts: list[Mount]) -> dict[Path, Path]:
    """Return where root shows what it alone may be able to enter: the n-th source at /mnt/n."""
    sources = [*bwrap.folder, *(mount.source for mount in mounts if not mount.device)]
    return {source: launch.STAGE / str(n) for n, source in enumerate(dict.fromkeys(sources))}


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _first_process(info: int, child: subprocess.Popen[bytes], log: int) -> int:
    """Return the number of the sandbox's first process, which bwrap tells as JSON."""
    told = b""
    while b"}" not in told:
        piece = os.read(info, 4096) if select.select([info], [], [], STARTING)[0] else b""
        if not piece:
            raise _refused(child, log)
        told += piece
    first: int = json.loads(told)["child-pid"]
    return first


def _root(first: int, token: str, child: subprocess.Popen[bytes], log: int) -> int:
    """Return a descriptor of the new root when it stands."""
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            root = os.open(f"/proc/{first}/root/", os.O_PATH | os.O_DIRECTORY)
            try:
                os.stat(token, dir_fd=root, follow_symlinks=False)
            except FileNotFoundError:
                os.close(root)
            else:
                return root
        time.sleep(0.001)
    raise _refused(child, log)


def _refused(child: subprocess.Popen[bytes], log: int) -> BadRequest:
    """Return the error of a sandbox that cannot be built, with what bwrap says of it."""
    _end(child)
    os.set_blocking(log, False)
    with contextlib.suppress(BlockingIOError):
        said = one_line(os.read(log, 4096).decode("utf-8", "replace"))
        return BadRequest(
            f"no sandbox can be built here ({said or 'bwrap says nothing'}); it needs user "
            "namespaces, which the kernel or a container's rules may forbid: see docs/sandbox.md"
        )
    return BadRequest("no sandbox can be built here: bwrap did not start in time; try again")
