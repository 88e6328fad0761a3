"""Leaves a matrix where a list is expected."""

import os
from pathlib import Path

import numpy as np

EXPECTED = "refused"
SAYS = "shape"

np.save(Path(os.environ["OUTPUTS"], "positions.npy"), np.zeros((3, 3), np.int64))
