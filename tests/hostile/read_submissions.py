"""Reads what another submission left, and copies it as its own work."""

import contextlib
import json
import os
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
with contextlib.suppress(OSError):
    for file in Path(attack["other"]).iterdir():
        (out / "escaped").write_bytes(file.read_bytes())
