"""Opens a netlink socket, through which the kernel would tell of the network."""

import contextlib
import json
import os
import socket
from pathlib import Path

EXPECTED = "ok"
REAL = True  # without a sandbox it succeeds

attack = json.loads(os.environ["ATTACK"])
with contextlib.suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as line:
    line.settimeout(1)
    line.bind((0, 0))
    Path(os.environ["OUTPUTS"], "escaped").touch()
