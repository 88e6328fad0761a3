"""Looks for secrets in its own environment, in its parent's and in that of another process."""

import contextlib
import json
import os
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
found = repr(os.environ).encode()
# outside a sandbox it leaves the processes alone that are not the test's own
for process in (attack["bystander"], *([1] if os.getppid() == 1 else [])):
    for part in ("environ", "cmdline", "task/1/environ"):
        with contextlib.suppress(OSError):
            found += Path(f"/proc/{process}/{part}").read_bytes()
(out / "found").write_bytes(found)
