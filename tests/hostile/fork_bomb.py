"""Doubles its processes without end."""

import contextlib
import os

EXPECTED = "crash"
SAYS = "processes"

while True:
    with contextlib.suppress(OSError):
        os.fork()
