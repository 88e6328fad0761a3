"""Does nothing wrong: reads its input with numpy and leaves positions."""

import os
from pathlib import Path

import numpy as np

EXPECTED = "right"

x = np.load(Path(os.environ["INPUTS"], "data", "x.npy"))
np.save(Path(os.environ["OUTPUTS"], "positions.npy"), np.argsort(x)[:4])
