"""What a rerun may use."""

from pydantic import Field

from lotterybench.schema import Record


class Budget(Record):
    """The most that one rerun may use; whoever reaches a limit is ended.

    `memory_bytes` counts what processes hold, `disk_bytes` all files they have at one time (these
    lie in memory, too), `file_bytes` one of them, `files` their number with folders, `pids`
    processes and threads together, `cpu_seconds` the time of all of them. `log_bytes` of the last
    output are kept. `gpu` is the number of the one device that is lent.
    """

    wall_seconds: float = Field(3600.0, gt=0)
    cpu_seconds: float = Field(8 * 3600.0, gt=0)
    memory_bytes: int = Field(8 * 2**30, ge=2**24)
    disk_bytes: int = Field(2**30, ge=2**16)
    file_bytes: int = Field(2**30, ge=2**12)
    files: int = Field(10_000, ge=10)
    pids: int = Field(512, ge=1)
    log_bytes: int = Field(2**16, ge=0, le=2**24)
    gpu: int | None = Field(None, ge=0)
