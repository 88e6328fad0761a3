"""Leaves a folder that is a link to the host's."""

import json
import os
from pathlib import Path

EXPECTED = "invalid"
SAYS = "symbolic link"

attack = json.loads(os.environ["ATTACK"])
out = Path(os.environ["OUTPUTS"])
(out / "more").symlink_to(Path(attack["labels"]).parent)
