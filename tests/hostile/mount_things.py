"""Mounts what is hidden, and takes away what is mounted read-only."""

import ctypes
import os
from pathlib import Path

EXPECTED = "ok"

libc = ctypes.CDLL(None)
out = Path(os.environ["OUTPUTS"])
tried = [
    libc.mount(b"proc", bytes(out), b"proc", 0, None),
    libc.mount(b"none", b"/", None, 32, None),
    libc.umount2(b"/in/data", 2),
    libc.chroot(b"/proc/1/root"),
]
if 0 in tried:
    (out / "escaped").touch()
