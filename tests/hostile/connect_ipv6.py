"""Connects to a listener of the host by TCP over IPv6."""

import contextlib
import json
import os
import socket
from pathlib import Path

EXPECTED = "ok"

attack = json.loads(os.environ["ATTACK"])
with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as line:
    line.settimeout(1)
    line.connect(("::1", attack["tcp6"]))
    Path(os.environ["OUTPUTS"], "escaped").touch()
