"""Prints what terminals and pages obey: escapes, bells, turned writing, markup."""

import sys

EXPECTED = "ok"

sys.stdout.buffer.write(
    b"\x1b[2J\x1b]0;title\x07\x1b]52;c;bGFiZWxz\x07\x1b[31mred\x1b[0m\x9b5n\x00\x08\x7f\xff\xfe"
    + "\u202eevil\u2066\ufeff <script>alert(1)</script>\r\n".encode()
)
