"""Takes memory without end."""

EXPECTED = "oom"
SAYS = "memory"

held = []
while True:
    held.append(bytearray(2**22))
