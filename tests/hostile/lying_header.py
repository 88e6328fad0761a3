"""Leaves an array whose header claims an exabyte."""

import os
from pathlib import Path

EXPECTED = "refused"
SAYS = "shape"

header = (
    b"{'descr': '<i8', 'fortran_order': False, 'shape': (1152921504606846976,)}".ljust(117) + b"\n"
)
content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
Path(os.environ["OUTPUTS"], "positions.npy").write_bytes(content)
