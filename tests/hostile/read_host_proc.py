"""Looks at the referee's own process, and sends it a signal."""

import contextlib
import json
import os
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
referee = attack["referee"]
with contextlib.suppress(OSError):
    (out / "escaped").write_bytes(Path(f"/proc/{referee}/stat").read_bytes())
with contextlib.suppress(OSError):
    os.kill(referee, 0)
    (out / "escaped").touch()
