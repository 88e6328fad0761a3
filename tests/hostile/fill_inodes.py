"""Makes empty files without end: they need no space, but memory of the kernel."""

import itertools
import os
from pathlib import Path

EXPECTED = "crash"
SAYS = "files and folders"

for number in itertools.count():
    Path(os.environ["TMPDIR"], str(number)).touch()
