"""Writes files until nothing fits any more."""

import os
from pathlib import Path

EXPECTED = "crash"
SAYS = "filled its disk"

for number in range(1000):
    Path(os.environ["TMPDIR"], str(number)).write_bytes(bytes(2**20))
