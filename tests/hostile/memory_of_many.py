"""Takes memory in many processes, each of which takes little."""

import os
import time

EXPECTED = "oom"
SAYS = "memory"

for _ in range(12):
    if os.fork() == 0:
        held = bytearray(b"x" * 2**23)
        time.sleep(60)
time.sleep(60)
