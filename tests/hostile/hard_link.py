"""Leaves one file under two names, so that one can change when the other is read."""

import os
from pathlib import Path

EXPECTED = "invalid"
SAYS = "hard links"

first = Path(os.environ["OUTPUTS"], "positions.npy")
first.write_bytes(b"x")
first.with_name("again.npy").hardlink_to(first)
