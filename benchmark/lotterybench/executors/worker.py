"""A worker process under guard: it does one run at a time, and its death is that run's status."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait

import psutil

from lotterybench.errors import LotteryBenchError
from lotterybench.executors.base import Limits
from lotterybench.executors.deaths import OutOfMemoryKills, verdict
from lotterybench.executors.serve import serve
from lotterybench.kinds import Attempt, Conduct, Done, Run, record
from lotterybench.kinds.ranking import device_name
from lotterybench.trials import Status

TICK = 0.2  # seconds between two looks at a worker's memory and time
GIB = 2**30
TRIES = 2  # of a run whose worker was killed from outside


class Worker:
    """One child process, and from here its limits, its death and its successor.

    `share` is the part of the device's memory that it may take. Make it, `take` a run, and `look`
    until that run's result comes; `close` it in the end.
    """

    serve = staticmethod(serve)

    def __init__(
        self, device: str, conduct: Conduct, limits: Limits | None = None, share: float = 1.0
    ) -> None:
        self.device = device
        self.run: Run | None = None
        self._conduct, self._limits, self._share = conduct, limits or Limits(), share
        self._hardware = device if device.startswith("cuda") else device_name(device)
        self._kills = OutOfMemoryKills()
        self._open()

    @property
    def idle(self) -> bool:
        """Whether it can take a run."""
        return self.run is None

    def take(self, run: Run) -> None:
        """Begin a run; raises what `look` raises."""
        if not self._process.is_alive():
            self._reopen()
        self.run, self._tries = run, 1

    def look(self) -> Done | None:
        """Return the run's result if there is one by now.

        Raises what the worker met that is no run's fault: `BadData`, `NoSpace`, …
        """
        if self.run is None:
            return None
        self._kills.note()
        if self._pipe.poll() and (said := self._hear()) is not None:
            if isinstance(said, Exception):
                raise said
            if isinstance(said, Done):
                return self._answered(said)
            self._hardware, self._ready = said, True
        if not self._process.is_alive():
            return self._died(self.run)
        if self._ready and self._began is None:
            self._send(self.run)
        excess = self._excess()
        return None if excess is None else self._ended(*excess)

    def close(self) -> None:
        """End the process and those that it started."""
        if self._process.is_alive():  # else its number may be another's by now
            for process in _family(self._process.pid):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.join()
        self._pipe.close()

    def _open(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=self.serve, args=(theirs, self.device, self._conduct, self._share)
        )
        # Ctrl-C in a terminal reaches the child too, maybe before it can ignore it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._ready, self._used = False, False
        self._began: float | None = None
        self._counted, self._relatives = 0.0, list[psutil.Process]()

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _send(self, run: Run) -> None:
        """Hand the run over; its time begins."""
        self._began = time.monotonic()
        with suppress(OSError):  # the child is gone: the next look sees it
            self._pipe.send(run)

    def _hear(self) -> Done | Exception | str | None:
        """Receive one message; None if the child closed the pipe, so that it is about to die."""
        try:
            said: Done | Exception | str = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(1)
            if self._process.is_alive():  # a method may have closed the pipe and live on
                self._process.kill()
                self._process.join()
            return None
        return said

    def _answered(self, done: Done) -> Done | None:
        status = done.result.status
        if status == "oom" and self._used:
            self._reopen()
            return None
        # After an error on a card, every later call on it from the same process may fail.
        spoilt = status not in ("ok", "invalid") and self.device.startswith("cuda")
        self._rest(stop=spoilt)
        return done

    def _died(self, run: Run) -> Done | None:
        code = self._process.exitcode
        assert code is not None
        if not self._ready and code >= 0:
            raise LotteryBenchError(
                f"a worker process ended with exit status {code} before it could do a run; "
                'is the call of run_track guarded by if __name__ == "__main__"?'
            )
        status, reason = verdict(code, self._kills.rose())
        if status == "infra" and self._tries < TRIES:
            self._tries += 1
            self._reopen()
            return None
        return self._ended(status, reason)

    def _ended(self, status: Status, reason: str) -> Done | None:
        """End the run with its process; the next run gets a fresh one.

        What earlier runs left in a process counts against no run: short of memory, it is tried
        once more on a fresh process.
        """
        if status == "oom" and self._used:
            self._reopen()
            return None
        assert self.run is not None
        seconds = 0.0 if self._began is None else time.monotonic() - self._began
        done = Done(record(self.run, Attempt(status, reason), self._hardware), seconds)
        self._rest(stop=True)
        return done

    def _rest(self, *, stop: bool) -> None:
        self.run, self._began, self._used = None, None, True
        if stop:
            self.close()

    def _excess(self) -> tuple[Status, str] | None:
        """Return the status and reason of a run that is beyond a limit."""
        most, longest = self._limits.memory, self._limits.seconds
        if self._began is None:
            return None
        if longest is not None and time.monotonic() - self._began > longest:
            return "timeout", f"not done after {longest:g} s, the time limit"
        if most is not None and self._resident() > most * GIB:
            return "oom", f"more than {most:g} GiB resident, the memory limit"
        return None

    def _resident(self) -> int:
        """Return the bytes that the worker and the processes it started hold in memory."""
        now = time.monotonic()
        if now - self._counted > 1:  # finding relatives reads every process of the machine
            self._counted, self._relatives = now, _family(self._process.pid)
        total = 0
        for process in self._relatives:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total


def wait_for(workers: Sequence[Worker]) -> None:
    """Wait until a busy worker has something to say, but no longer than a tick."""
    busy = [worker for worker in workers if not worker.idle]
    wait(
        [handle for worker in busy for handle in (worker._pipe, worker._process.sentinel)],
        timeout=TICK,
    )


def _family(pid: int | None) -> list[psutil.Process]:
    """Return a process and all that it started, [] if it is gone."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
