"""Kills every process that it can reach."""

import contextlib
import json
import os
import signal

EXPECTED = "ok"

referee = json.loads(os.environ["ATTACK"])["referee"]
for number in (1, -1, referee, *range(3, 200)):
    with contextlib.suppress(OSError):
        os.kill(number, signal.SIGKILL)
