"""Makes its inputs writable, renames them and removes them."""

import contextlib
import os
from pathlib import Path

EXPECTED = "ok"

for act in (
    lambda: Path("/in/data").chmod(0o777),
    lambda: Path("/in/data").rename("/in/other"),
    lambda: Path("/in/data/x.npy").unlink(),
    lambda: os.utime("/in/data/x.npy"),
    lambda: os.truncate("/in/data/x.npy", 0),
):
    with contextlib.suppress(OSError):
        act()
        Path(os.environ["OUTPUTS"], "escaped").touch()
