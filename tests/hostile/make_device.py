"""Makes a device node for the host's disk."""

import contextlib
import os
import stat
from pathlib import Path

EXPECTED = "ok"

for kind in (stat.S_IFBLK, stat.S_IFCHR):
    with contextlib.suppress(OSError):
        os.mknod(Path(os.environ["OUTPUTS"], "escaped"), kind | 0o666, os.makedev(8, 0))
