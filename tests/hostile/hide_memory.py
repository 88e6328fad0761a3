"""Holds memory that belongs to no process: an anonymous file, System V segments."""

import contextlib
import ctypes
import os
from pathlib import Path

EXPECTED = "ok"

with contextlib.suppress(OSError):
    os.memfd_create("hidden")
    Path(os.environ["OUTPUTS"], "escaped").touch()
if ctypes.CDLL(None).shmget(0, 2**20, 0o1600) != -1:
    Path(os.environ["OUTPUTS"], "escaped").touch()
