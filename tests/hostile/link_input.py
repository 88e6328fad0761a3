"""Hard-links the password file into its outputs."""

import contextlib
import os
from pathlib import Path

EXPECTED = "ok"

for target in ("/etc/passwd", "/in/data/x.npy"):
    with contextlib.suppress(OSError):
        Path(os.environ["OUTPUTS"], "escaped").hardlink_to(target)
