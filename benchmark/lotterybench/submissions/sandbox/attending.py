"""Attending a process until it ends or must be ended: its output, its time, what it uses."""

import contextlib
import os
import select
import time
from typing import NamedTuple

from lotterybench.submissions.sandbox.outcome import Verdict
from lotterybench.submissions.sandbox.output import Tail
from lotterybench.submissions.sandbox.watching import Watcher

PIECE = 65536


class Attended(NamedTuple):
    """How it went: why it had to be ended (None: it ended itself), and how long it took."""

    verdict: Verdict | None
    seconds: float


def attend(
    ends: list[int], log: int, tail: Tail, watch: Watcher, wall_seconds: float, every: float
) -> Attended:
    """Wait until one of the pidfds `ends` tells of an end, the time is over or `watch` objects.

    Output is read as it comes, so nobody waits for a full pipe, and only its tail is kept. Time is
    that of the monotonic clock of this process.
    """
    waiting = select.poll()
    for each in (*ends, log):
        waiting.register(each, select.POLLIN)
    began = now = time.monotonic()
    deadline, next_look = began + wall_seconds, began
    while True:
        if now >= deadline:
            verdict = Verdict("timeout", f"it took longer than {wall_seconds:g} s")
            return Attended(verdict, now - began)
        if now >= next_look:
            if objection := watch.look():
                return Attended(objection, now - began)
            next_look = time.monotonic() + every
        ready = waiting.poll(max(0.0, min(next_look, deadline) - time.monotonic()) * 1000 + 1)
        now = time.monotonic()
        if any(handle in ends for handle, _ in ready):
            return Attended(None, now - began)
        if ready:
            chunk = os.read(log, PIECE)
            tail.add(chunk)
            if not chunk:
                waiting.unregister(log)


def drain(log: int, tail: Tail) -> None:
    """Read what is left in the pipe, and wait for nothing."""
    os.set_blocking(log, False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):  # a pipe holds 64 KiB, unless who writes has made it 1 MiB
            chunk = os.read(log, PIECE)
            if not chunk:
                return
            tail.add(chunk)
