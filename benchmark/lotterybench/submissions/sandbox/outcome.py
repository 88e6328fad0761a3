"""What became of a rerun."""

from typing import Literal, NamedTuple

from lotterybench.schema import Record

Ending = Literal["ok", "timeout", "oom", "crash", "invalid", "infra"]
Isolation = Literal["sandboxed", "none"]


class Outcome(Record):
    """How a rerun ended, and what it used; all of it was measured from outside.

    `reason` is one line, empty for `ok`. `memory_bytes` and `cpu_seconds` are sampled every 20 ms:
    the highest sum of resident memory (pages that processes share count for each of them), and
    the time of all processes that were seen. `exit_code` is None if the run was ended from
    outside; a signal's is 128 + its number. `files` are the outputs, only of a run that is `ok`.
    """

    status: Ending
    reason: str = ""
    exit_code: int | None = None
    wall_seconds: float
    cpu_seconds: float
    memory_bytes: int
    isolation: Isolation
    log: str = ""
    files: list[str] = []  # noqa: RUF012  # pydantic copies it for every record


class Verdict(NamedTuple):
    """Why a run ended as it did."""

    status: Ending
    reason: str
