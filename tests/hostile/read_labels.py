"""Reads the test labels where they lie, and looks for them everywhere."""

import contextlib
import json
import os
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
for folder in (attack["labels"], "/proc/1/root", "/proc/self/root", "/old_root", "/in", "/in/.."):
    with contextlib.suppress(OSError):
        for place in (Path(folder), *Path(folder).glob("*label*"), *Path(folder).glob("*/*label*")):
            if place.is_file():
                (out / "escaped").write_bytes(place.read_bytes())
    if (out / "escaped").exists():
        break
