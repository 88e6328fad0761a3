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


class Queue(Generic[Piece]):
    """Pieces of work in the order they are given out: this one gives them out as they come."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = deque(pieces)

    def __len__(self) -> int:
        """The number of pieces that were not given out."""
        return len(self.pieces)

    def take(self) -> Piece | None:
        """Give out a piece; None if none can be begun before another is finished."""
        return self.pieces.popleft() if self.pieces else None

    def finished(self, piece: Piece) -> None:
        """Take note of a piece that is done."""


def carry_out(
    pieces: Sequence[Piece] | Queue[Piece], work: Callable[[Piece], Found], jobs: int | None
) -> Iterator[Begun[Piece] | Finished[Piece, Found]]:
    """Do pieces in their order, as many at a time as there are processes; tell of each.

    A `Queue` may hold pieces back until others are finished. `work` is a function of a module, or
    a `partial` of one, so that it can be sent. Closing the iterator ends the processes at once.
    Raises what `work` raises: a `LotteryBenchError` or an `OSError` as it is, anything else as a
    `RuntimeError` with its traceback. Raises `LotteryBenchError` if a process is killed.
    """
    queue = pieces if isinstance(pieces, Queue) else Queue(pieces)
    team = [_start(work) for _ in range(min(workers(jobs), len(queue)))]
    idle = [pipe for pipe, _ in team]
    doing: dict[Connection, Piece] = {}
    try:
        while idle or doing:
            begun = []
            while idle and (piece := queue.take()) is not None:
                pipe = idle.pop(0)
                _hand_over(pipe, piece)
                doing[pipe] = piece
                begun.append(piece)
            yield from map(Begun, begun)
            if not doing:
                break
            ready = wait(list(doing))
            for pipe in [pipe for pipe in doing if pipe in ready]:
                found = _hear(pipe)
                piece = doing.pop(pipe)
                queue.finished(piece)
                following = queue.take()
                if following is None:
                    idle.append(pipe)
                else:  # before the caller has its turn: no process waits for it
                    _hand_over(pipe, following)
                    doing[pipe] = following
                yield Finished(piece, found)
                if following is not None:
                    yield Begun(following)
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


def _hand_over(pipe: Connection, piece: object) -> None:
    try:
        pipe.send(piece)
    except OSError:
        raise _died() from None


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
