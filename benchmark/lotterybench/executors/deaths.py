"""What the death of a worker process means for the run that it was doing."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from signal import Signals

from lotterybench.trials import Status

# Signals that a process earns by what it does itself.
FAULTS = {"SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"}
MEMORY = 5.0  # seconds: a large process takes some to die after the system has counted its kill


def verdict(exitcode: int, short_of_memory: bool) -> tuple[Status, str]:
    """Return the status and reason of a run whose process ended with `exitcode`.

    A negative code is a signal's number, as in `subprocess`.
    """
    if exitcode >= 0:
        return "crash", f"the method ended its process, with exit status {exitcode}"
    name = _name(-exitcode)
    if name == "SIGKILL" and short_of_memory:
        return "oom", "the system killed the process for lack of memory"
    if name in FAULTS:
        return "crash", f"the process died of {name}"
    return "infra", f"the process was ended from outside by {name}"


def _name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"


class OutOfMemoryKills:
    """The system's count of kills for lack of memory, now and a few seconds ago."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._counters = _counters(root)
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), self._count())])

    def note(self) -> None:
        """Remember the count of this moment."""
        now = time.monotonic()
        self._seen.append((now, self._count()))
        while len(self._seen) > 1 and self._seen[1][0] < now - MEMORY:
            self._seen.popleft()

    def rose(self) -> bool:
        """Say whether the count has risen in the last seconds."""
        return self._count() > self._seen[0][1]

    def _count(self) -> int:
        for file in self._counters:
            for line in file.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0


def _counters(root: Path) -> list[Path]:
    """Return files that count kills, the nearest first: the process's cgroup's, the machine's.

    Inside a container the cgroup's path is often not visible; its files then lie at the root of
    the mount.
    """
    files = []
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.is_file() else []:
        _, controllers, where = line.split(":", 2)
        mount = root / "sys/fs/cgroup"
        if not controllers:
            files += [mount / where.lstrip("/") / "memory.events", mount / "memory.events"]
        elif "memory" in controllers.split(","):
            files += [
                mount / "memory" / where.lstrip("/") / "memory.oom_control",
                mount / "memory" / "memory.oom_control",
            ]
    return [file for file in (*files, root / "proc/vmstat") if file.is_file()]
