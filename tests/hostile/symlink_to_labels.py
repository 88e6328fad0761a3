"""Leaves a symbolic link to the labels, for the referee to follow."""

import json
import os
from pathlib import Path

EXPECTED = "invalid"
SAYS = "symbolic link"

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
(out / "positions.npy").symlink_to(attack["labels"])
