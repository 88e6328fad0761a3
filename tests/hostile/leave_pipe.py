"""Leaves a pipe: whoever opens it waits for ever."""

import os
from pathlib import Path

EXPECTED = "invalid"
SAYS = "a pipe"

os.mkfifo(Path(os.environ["OUTPUTS"], "positions.npy"))
