"""Connects to a listener of the host by TCP."""

import contextlib
import json
import os
import socket
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as line:
    line.settimeout(1)
    line.connect(("127.0.0.1", attack["tcp"]))
    Path(os.environ["OUTPUTS"], "escaped").touch()
