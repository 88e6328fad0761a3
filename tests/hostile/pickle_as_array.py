"""Leaves a pickle that is called an array."""

import os
import pickle
from pathlib import Path

EXPECTED = "refused"
SAYS = "no .npy file"


class Payload:
    """Writes to a canary where it is unpickled."""

    def __reduce__(self):
        return os.system, (os.environ["ATTACK_SHELL"],)


Path(os.environ["OUTPUTS"], "positions.npy").write_bytes(pickle.dumps(Payload()))
