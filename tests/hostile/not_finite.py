"""Leaves numbers that compare with nothing."""

import os
from pathlib import Path

import numpy as np

EXPECTED = "refused"
SAYS = "type"

np.save(Path(os.environ["OUTPUTS"], "positions.npy"), np.full(4, np.nan))
