"""Traces the sandbox's first process, and reads its memory."""

import ctypes
import os
from pathlib import Path

EXPECTED = "ok"

out = Path(os.environ["OUTPUTS"])
libc = ctypes.CDLL(None)
if libc.ptrace(16, 1, 0, 0) == 0:
    (out / "escaped").touch()
buffer = ctypes.create_string_buffer(64)
if libc.process_vm_readv(1, buffer, 0, buffer, 0, 0) >= 0:
    (out / "escaped").touch()
