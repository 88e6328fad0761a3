"""Makes itself root in a user namespace of its own, or joins an older one."""

import ctypes
import os
from pathlib import Path

EXPECTED = "ok"

libc = ctypes.CDLL(None)
out = Path(os.environ["OUTPUTS"])
for flags in (0x10000000, 0x10020000, 0x50000000, 0x00020000):
    if libc.unshare(flags) == 0 or libc.syscall(56, flags | 17, 0, 0, 0, 0) >= 0:
        (out / "escaped").touch()
if libc.setns(os.open("/proc/1/ns/user", os.O_RDONLY), 0) == 0:
    (out / "escaped").touch()
