"""Leaves a socket among its results."""

import os
import socket
from pathlib import Path

EXPECTED = "invalid"
SAYS = "a socket"

socket.socket(socket.AF_UNIX).bind(str(Path(os.environ["OUTPUTS"], "positions.npy")))
