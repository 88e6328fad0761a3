"""Reports all that tells where it runs: names of host, users, folders, arguments."""

import contextlib
import os
from pathlib import Path

EXPECTED = "ok"

out = Path(os.environ["OUTPUTS"])
found = [os.uname().nodename, repr(sorted(os.environ)), repr(sorted(map(str, Path("/").iterdir())))]
for place in ("/proc/1/cmdline", "/etc/passwd", "/proc/sys/kernel/hostname"):
    with contextlib.suppress(OSError):
        found.append(Path(place).read_text())
(out / "found").write_text("\n".join(found))
