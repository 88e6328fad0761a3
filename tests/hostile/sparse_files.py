"""Leaves files that take no room here and much where they are copied."""

import os
from pathlib import Path

EXPECTED = "invalid"
SAYS = "bytes in all"

for number in range(20):
    with Path(os.environ["OUTPUTS"], f"{number}.npy").open("wb") as file:
        file.truncate(2**21)
