"""Looks for the referee's seed in variables, arguments and its parent's memory."""

import contextlib
import gc
import json
import os
from pathlib import Path

EXPECTED = "ok"

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
found = [repr(os.environ), repr([each for each in gc.get_objects() if isinstance(each, dict)])]
for number in range(1, 10):
    for part in ("environ", "cmdline", "maps", "mem"):
        with contextlib.suppress(OSError):
            found.append(repr(Path(f"/proc/{number}/{part}").read_bytes()[:10_000]))
(out / "found").write_text("".join(found))
