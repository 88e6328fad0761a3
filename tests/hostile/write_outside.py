"""Writes to every place but its own: inputs, packages, system, devices, canaries."""

import contextlib
import json
import os
import sys
from pathlib import Path

EXPECTED = "ok"

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
targets = [attack["canary"], "/etc/passwd", "/usr/lib/x", "/x", "/dev/x", "/sys/x", "/in/x"]
targets += [f"{sys.prefix}/x", f"{sys.base_prefix}/x", f"{Path(json.__file__).parent}/x.py"]
targets += [
    "/proc/sys/kernel/hostname",
    "/proc/sysrq-trigger",
    "/proc/1/oom_score_adj",
    "/in/data/x",
]
for target in targets:
    with contextlib.suppress(OSError):
        Path(target).write_text("mine")
        (out / "escaped").write_text(target)
