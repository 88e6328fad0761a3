"""Burns processor time in children that it never asks about."""

import os
import signal

EXPECTED = "timeout"
SAYS = "processor time"
BUDGET = {"wall_seconds": 30.0, "cpu_seconds": 0.3}

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(3):
    os.fork()
while True:
    pass
