"""Leaves a file whose name is a terminal escape, a line end and markup."""

import os
from pathlib import Path

EXPECTED = "invalid"
SAYS = "called"

Path(os.environ["OUTPUTS"], "\x1b[2J\n<script>.npy").touch()
