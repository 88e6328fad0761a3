"""Starts threads without end."""

import contextlib
import threading
import time

EXPECTED = "crash"
SAYS = "processes"
BUDGET = {"memory_bytes": 268_435_456}  # a stack may grow to 8 MiB

while True:
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
