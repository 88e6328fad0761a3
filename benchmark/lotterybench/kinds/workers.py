"""Worker processes that each do one piece of work after the other on one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

from lotterybench.errors import LotteryBenchError

Piece = TypeVar("Piece")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Begun(Generic[Piece]):
    """A piece that has been given to a worker."""

    piece: Piece


@dataclass(frozen=True)
class Finished(Generic[Piece, Found]):
    """A piece with what came of it."""

    piece: Piece
    found: Found


def workers(jobs: int | None) -> int:
    """Return how many processes work: those asked for, else one a core."""
    if jobs is not None:
        return jobs
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def carry_out(
    pieces: Sequence[Piece], work: Callable[[Piece], Found], jobs: int | None
) -> Iterator[Begun[Piece] | Finished[Piece, Found]]:
    """Do pieces in their order, as many at a time as there are processes; tell of each.

    `work` is a function of a module, or a `partial` of one, so that it can be sent. Closing the
    iterator ends the processes at once. Raises what `work` raises: a `LotteryBenchError` or an
    `OSError` as it is, anything else as a `RuntimeError` with its traceback. Raises
    `LotteryBenchError` if a process is killed.
    """
    waiting = deque(pieces)
    team = [_start(work) for _ in range(min(workers(jobs), len(pieces)))]
    doing: dict[Connection, Piece] = {}
    try:
        for pipe, _ in team:
            doing[pipe] = _hand_over(pipe, waiting)
            yield Begun(doing[pipe])
        while doing:
            ready = wait(list(doing))
            for pipe in [pipe for pipe in doing if pipe in ready]:
                found = _hear(pipe)
                piece = doing.pop(pipe)
                if waiting:  # before the caller has its turn: no process waits for it
                    doing[pipe] = _hand_over(pipe, waiting)
                yield Finished(piece, found)
                if pipe in doing:
                    yield Begun(doing[pipe])
    finally:
        for pipe, process in team:
            process.kill()
            process.join()
            pipe.close()


def _start(work: Callable[[Piece], Found]) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    # Ctrl-C in a terminal reaches the child too, maybe before it can ignore it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, process


def _hand_over(pipe: Connection, waiting: deque[Piece]) -> Piece:
    piece = waiting.popleft()
    try:
        pipe.send(piece)
    except OSError:
        raise _died() from None
    return piece


def _hear(pipe: Connection) -> Any:
    try:
        found = pipe.recv()
    except (EOFError, OSError):
        raise _died() from None
    if isinstance(found, Exception):
        raise found
    return found


def _died() -> LotteryBenchError:
    return LotteryBenchError(
        "a worker process was killed, or ended before it could begin; what was done before is "
        "kept: repeat the command, with fewer --jobs if memory is short (a script that calls this "
        'is guarded by if __name__ == "__main__")'
    )


def _serve(pipe: Connection, work: Callable[[Piece], Found]) -> None:
    """Answer each piece that comes through the pipe by what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _leave_with_parent()
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    while True:
        try:
            piece: Piece = pipe.recv()
        except EOFError:
            return
        pipe.send(_outcome(work, piece))


def _outcome(work: Callable[[Piece], Found], piece: Piece) -> Found | Exception:
    try:
        return work(piece)
    except (LotteryBenchError, OSError) as error:
        return error
    except Exception:
        return RuntimeError(f"a worker failed:\n{traceback.format_exc()}")


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
