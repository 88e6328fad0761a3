"""Leaves more positions than the budget has."""

import os
from pathlib import Path

import numpy as np

EXPECTED = "refused"
SAYS = "shape"

np.save(Path(os.environ["OUTPUTS"], "positions.npy"), np.arange(50))
