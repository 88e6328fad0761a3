"""Leaves an array of objects, whose reading would run its code."""

import os
from pathlib import Path

import numpy as np

EXPECTED = "refused"
SAYS = "type"


class Payload:
    """Writes to a canary where it is unpickled."""

    def __reduce__(self):
        return os.system, (os.environ["ATTACK_SHELL"],)


np.save(Path(os.environ["OUTPUTS"], "positions.npy"), np.array([Payload()], object))
