"""The last bytes that a process printed, made harmless to print and to publish."""

import re
import unicodedata

# What terminals obey: CSI, OSC and the other strings (closed or not), and two-character escapes.
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]?"
)
# Control, format (as those that turn the direction of writing), private and unassigned characters.
UNSEEN = {"Cc", "Cf", "Co", "Cn", "Cs"}


class Tail:
    """Keeps the last `size` bytes of what it is given, and no more than twice that."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append a piece of output; what lies too far back is forgotten."""
        self._bytes += chunk
        if len(self._bytes) > 2 * self._size:
            del self._bytes[: len(self._bytes) - self._size]

    def text(self) -> str:
        """Return the last bytes as text of at most `size` bytes in UTF-8."""
        last = bytes(self._bytes[len(self._bytes) - self._size :] if self._size else b"")
        plain = printable(last.decode("utf-8", "replace"))
        encoded = plain.encode()
        return encoded[max(0, len(encoded) - self._size) :].decode("utf-8", "ignore")


def printable(text: str) -> str:
    """Return text without terminal escapes and control characters but tabs and line ends."""
    text = ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        each for each in text if each in "\n\t" or unicodedata.category(each) not in UNSEEN
    )


def one_line(text: str) -> str:
    """Return what may stand in a message: printable, one line, at most 200 characters."""
    return " ".join(printable(text).split())[:200]
