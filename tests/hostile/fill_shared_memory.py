"""Fills the shared memory that loaders use, which is memory and no process's."""

from pathlib import Path

EXPECTED = "crash"
SAYS = "filled its disk"

for number in range(1000):
    Path("/dev/shm", str(number)).write_bytes(bytes(2**20))
