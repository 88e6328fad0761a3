"""Leaves a file of an apparent terabyte."""

import os
from pathlib import Path

EXPECTED = "crash"

with Path(os.environ["OUTPUTS"], "positions.npy").open("wb") as file:
    file.truncate(2**40)
