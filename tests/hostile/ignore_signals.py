"""Ignores every signal that can be ignored, and goes on."""

import contextlib
import signal
import time

EXPECTED = "timeout"
SAYS = "longer"
BUDGET = {"wall_seconds": 0.3}

for number in signal.valid_signals():
    with contextlib.suppress(OSError):
        signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(1)
