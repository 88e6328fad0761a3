"""What the kernel itself enforces, for each process."""

from lotterybench.submissions.sandbox.budget import Budget

OPEN_FILES = 1024
PINNED_FOR_CUDA = 2**26  # bytes of memory that may not be swapped out: the usual default


def per_process(budget: Budget) -> dict[str, int]:
    """Return limits by the names that `resource` has for them.

    A process may map twice the memory budget, so that the referee, who counts what all processes
    hold, is the first to object; with CUDA, which maps much more than it uses, there is no limit.
    """
    limits = {
        "RLIMIT_FSIZE": budget.file_bytes,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": int(budget.cpu_seconds) + 1,
        "RLIMIT_MEMLOCK": 0 if budget.gpu is None else PINNED_FOR_CUDA,
    }
    return limits if budget.gpu is not None else {**limits, "RLIMIT_DATA": 2 * budget.memory_bytes}
