"""Leaves positions outside the base, to read what lies beside it."""

import os
from pathlib import Path

import numpy as np

EXPECTED = "refused"
SAYS = "from -1 to"

np.save(Path(os.environ["OUTPUTS"], "positions.npy"), np.array([-1, 2**40]))
