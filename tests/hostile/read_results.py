"""Reads the file of results, by its path and through the working folders of others."""

import contextlib
import json
import os
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
for place in (attack["results"], *(f"/proc/{n}/cwd/results.jsonl" for n in range(1, 40))):
    with contextlib.suppress(OSError):
        (out / "escaped").write_bytes(Path(place).read_bytes())
        break
