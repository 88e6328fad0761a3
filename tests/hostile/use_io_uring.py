"""Opens files through io_uring, which filters of system calls do not see."""

import ctypes
import os
from pathlib import Path

EXPECTED = "ok"

if ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(512)) >= 0:
    Path(os.environ["OUTPUTS"], "escaped").touch()
