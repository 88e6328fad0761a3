"""Starts threads without end."""

import contextlib
import threading
import time

EXPECTED = "crash"
SAYS = "processes"

while True:
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
