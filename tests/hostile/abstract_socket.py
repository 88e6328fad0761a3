"""Connects to an abstract socket, which has no path that could be hidden."""

import contextlib
import json
import os
import socket
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
    line.settimeout(1)
    line.connect("\0" + attack["abstract"])
    Path(os.environ["OUTPUTS"], "escaped").touch()
