"""Asks the name server, by which data leave a network that is closed otherwise."""

import contextlib
import os
import socket
from pathlib import Path

EXPECTED = "ok"

with contextlib.suppress(OSError):
    found = socket.getaddrinfo("example.org", 443)
    Path(os.environ["OUTPUTS"], "escaped").write_text(repr(found))
