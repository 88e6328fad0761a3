"""Worker processes that each do one chunk after the other on one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from lotterybench.errors import LotteryBenchError
from lotterybench.kinds.exact.plan import Chunk
from lotterybench.kinds.exact.training import Outcome, Pool, trained

Finished = tuple[Chunk, Outcome]


def workers(jobs: int | None) -> int:
    """Return how many processes work: those asked for, else one a core."""
    if jobs is not None:
        return jobs
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def carry_out(chunks: Sequence[Chunk], pool: Pool, jobs: int | None) -> Iterator[Finished]:
    """Do chunks in their order; yield each with its outcome as it ends.

    Closing the iterator ends the processes at once. Raises `LotteryBenchError` if one is killed.
    """
    waiting = deque(chunks)
    team = [_start(pool) for _ in range(min(workers(jobs), len(chunks)))]
    doing: dict[Connection, Chunk] = {}
    try:
        for pipe, _ in team:
            doing[pipe] = _hand_over(pipe, waiting)
        while doing:
            ready = wait(list(doing))
            for pipe in [pipe for pipe in doing if pipe in ready]:
                found = _hear(pipe)
                chunk = doing.pop(pipe)
                if waiting:
                    doing[pipe] = _hand_over(pipe, waiting)
                yield chunk, found
    finally:
        for pipe, process in team:
            process.kill()
            process.join()
            pipe.close()


def _start(pool: Pool) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, pool), daemon=True)
    # Ctrl-C in a terminal reaches the child too, maybe before it can ignore it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, process


def _hand_over(pipe: Connection, waiting: deque[Chunk]) -> Chunk:
    chunk = waiting.popleft()
    try:
        pipe.send(chunk)
    except OSError:
        raise _died() from None
    return chunk


def _hear(pipe: Connection) -> Outcome:
    try:
        found = pipe.recv()
    except (EOFError, OSError):
        raise _died() from None
    if isinstance(found, Exception):
        raise found
    outcome: Outcome = found
    return outcome


def _died() -> LotteryBenchError:
    return LotteryBenchError(
        "a worker process was killed, or ended before it could begin; what was done before is "
        "kept: repeat the command, with fewer --jobs if memory is short (a script that calls this "
        'is guarded by if __name__ == "__main__")'
    )


def _serve(pipe: Connection, pool: Pool) -> None:
    """Answer each chunk that comes through the pipe by its outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _leave_with_parent()
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    while True:
        try:
            chunk: Chunk = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(trained(chunk, pool))
        except LotteryBenchError as error:
            pipe.send(error)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
