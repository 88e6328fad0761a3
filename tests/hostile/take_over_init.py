"""Overwrites the code of the sandbox's first process, which has the same rights as all others."""

import time
from pathlib import Path

EXPECTED = "crash"

for line in Path("/proc/1/maps").read_text().splitlines():
    place, rights = line.split()[:2]
    if "x" in rights and "[" not in line:
        first, last = (int(each, 16) for each in place.split("-"))
        with Path("/proc/1/mem").open("r+b", buffering=0) as memory:
            memory.seek(first)
            memory.write(b"\xcc" * (last - first))
time.sleep(0.1)
raise SystemExit(1)
