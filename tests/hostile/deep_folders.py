"""Leaves folders inside folders, deeper than programs that recurse can go."""

import os

EXPECTED = "invalid"
SAYS = "deeper"

for _ in range(90):
    os.mkdir("deep")
    os.chdir("deep")
