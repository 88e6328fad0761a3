"""Sends a packet to the host by UDP, which needs no connection."""

import contextlib
import json
import os
import socket
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
    line.settimeout(1)
    line.sendto(b"labels", ("127.0.0.1", attack["udp"]))
    Path(os.environ["OUTPUTS"], "escaped").touch()
