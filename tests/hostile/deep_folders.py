"""Leaves folders inside folders, deeper than programs that recurse can go."""

import os
from pathlib import Path

EXPECTED = "invalid"
SAYS = "deeper"

for _ in range(90):
    Path("deep").mkdir()
    os.chdir("deep")
