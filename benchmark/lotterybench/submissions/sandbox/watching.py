"""Watching what a rerun uses, from outside, and saying when that is too much.

One mechanism that is everywhere the same: /proc and statfs every 20 ms. The kernel's own limits
(`limits`) hold in between. Control groups would do the same without polling, but an ordinary user
has none that may be divided, and limits of address space refuse CUDA.
"""

import os
from collections.abc import Callable
from typing import NamedTuple, Protocol

from lotterybench.submissions.sandbox.budget import Budget
from lotterybench.submissions.sandbox.outcome import Verdict

EVERY = 0.02  # seconds
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """What /proc/<n>/stat tells: seconds of its own and of its ended children, bytes, threads."""

    began: int
    own: float
    children: float
    resident: int
    threads: int


class Watcher(Protocol):
    """What a run is asked while it lasts."""

    def look(self) -> Verdict | None:
        """Take a sample; return why the run must end, None if it may go on."""


class Watch:
    """The processes of one rerun, and the files that they can write.

    `proc` is a descriptor of a /proc; `members` returns the numbers there to look at; `scratch` is
    a descriptor of the file system of limited size, None where there is none.
    """

    def __init__(
        self, proc: int, members: Callable[[], list[str]], scratch: int | None, budget: Budget
    ) -> None:
        self._proc, self._members, self._scratch, self._budget = proc, members, scratch, budget
        self._spent: dict[tuple[str, int], float] = {}
        self.peak, self.cpu = 0, 0.0

    def look(self) -> Verdict | None:
        """Take a sample; return why the run must end, None if it may go on."""
        found = {name: process for name in self._members() if (process := self._process(name))}
        budget = self._budget
        threads = sum(process.threads for process in found.values())
        self._add_up(found)
        held = sum(process.resident for process in found.values())
        if held > budget.memory_bytes:
            held = sum(self._share(name, process) for name, process in found.items())
        self.peak = max(self.peak, held)
        if held > budget.memory_bytes:
            return Verdict("oom", f"it held more than {budget.memory_bytes} bytes of memory")
        if threads >= budget.pids:
            return Verdict("crash", f"it had {budget.pids} processes and threads or more")
        if self.cpu > budget.cpu_seconds:
            return Verdict(
                "timeout", f"it used more than {budget.cpu_seconds:g} s of processor time"
            )
        if self._scratch is not None:
            system = os.fstatvfs(self._scratch)
            if system.f_files - system.f_ffree > budget.files:
                return Verdict("crash", f"it had more than {budget.files} files and folders")
        return None

    def full(self) -> bool:
        """Say whether the file system has no room for another page."""
        return self._scratch is not None and os.fstatvfs(self._scratch).f_bfree == 0

    def _add_up(self, found: dict[str, Process]) -> None:
        """Take the larger of two counts, as each misses some.

        A parent that ignores SIGCHLD gets no time of its children; processes shorter than a sample
        are only seen by their parents.
        """
        for name, process in found.items():
            self._spent[name, process.began] = process.own
        inherited = sum(process.own + process.children for process in found.values())
        self.cpu = max(self.cpu, inherited, sum(self._spent.values()))

    def _process(self, name: str) -> Process | None:
        """Return a process's figures, None if it has ended."""
        content = self._read(f"{name}/stat")
        if not content:
            return None
        fields = content[content.rindex(b")") + 2 :].split()  # the name may hold anything
        user, system, of_children, of_childrens_system = map(int, fields[11:15])
        return Process(
            began=int(fields[19]),
            own=(user + system) / TICKS,
            children=(of_children + of_childrens_system) / TICKS,
            resident=int(fields[21]) * PAGE,
            threads=int(fields[17]),
        )

    def _share(self, name: str, process: Process) -> int:
        """Return the memory of a process, of pages that n processes have the n-th part."""
        for line in self._read(f"{name}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
        return process.resident

    def _read(self, name: str) -> bytes:
        try:
            handle = os.open(name, os.O_RDONLY, dir_fd=self._proc)
            try:
                return os.read(handle, 4096)
            finally:
                os.close(handle)
        except OSError:
            return b""


def inside(proc: int, own: frozenset[str] = frozenset()) -> list[str]:
    """Return the numbers of all processes of a namespace, by its /proc, but for `own`."""
    try:
        return [name for name in os.listdir(proc) if name.isdecimal() and name not in own]
    except OSError:  # the last one is gone
        return []
