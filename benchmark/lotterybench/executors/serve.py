"""Inside a worker process: do one run after the other, exactly as anywhere else."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from multiprocessing.connection import Connection, wait

from lotterybench.errors import LotteryBenchError
from lotterybench.kinds import Attempt, Conduct, Done, Run, execute, record
from lotterybench.kinds.ranking import device_name


def serve(pipe: Connection, device: str, conduct: Conduct, share: float) -> None:
    """Answer each run that comes through the pipe by what became of it.

    The first message back is the device's full name. An exception that is sent instead of a
    result is no run's fault.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.dup2(2, 1)  # what a method prints is no result of the command
    _leave_with_parent()
    _keep_memory()
    _repeat_exactly(device, share)
    pipe.send(device_name(device))
    while True:
        try:
            run: Run = pipe.recv()
        except EOFError:
            return
        pipe.send(_outcome(run, device, conduct))


def _outcome(run: Run, device: str, conduct: Conduct) -> Done | Exception:
    start = time.perf_counter()
    try:
        return next(execute([run], device, conduct))
    except SystemExit as left:
        attempt = Attempt("crash", f"the method called sys.exit({_short(left.code)})")
        seconds = time.perf_counter() - start
        return Done(record(run, attempt, device_name(device)), seconds)
    except (LotteryBenchError, OSError) as error:
        return error
    except Exception:
        return RuntimeError(f"a worker failed in {run}:\n{traceback.format_exc()}")


def _short(code: object) -> str:
    """Return an exit code in one line of at most 100 characters."""
    return "" if code is None else repr(code)[:100]


def _repeat_exactly(device: str, share: float) -> None:
    """Use one thread and deterministic algorithms, and of a card's memory the own share."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
    if device.startswith("cuda"):
        # A run that takes more than its share ends itself, not its neighbours.
        torch.cuda.set_per_process_memory_fraction(share, device)


def _keep_memory() -> None:
    """Let glibc keep freed memory for the next step instead of giving it back to the system.

    It would give back every large activation of every step and have its pages made anew: on one
    thread, SimCLR on a ResNet of width 16 takes 0.88 of the processor time with this.
    """
    threshold, trim = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # no glibc
        return
    mallopt(threshold, 2**30)
    mallopt(trim, 2**31 - 1)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
