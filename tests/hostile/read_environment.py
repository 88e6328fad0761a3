"""Looks for secrets in its own environment and in that of every process."""

import contextlib
import json
import os
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
found = repr(os.environ).encode()
for place in Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(OSError):
        found += (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
(out / "found").write_bytes(found)
