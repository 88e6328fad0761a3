"""What the tests of the sandbox share: whether there is one, and who is still alive."""

from functools import cache
from pathlib import Path

from toys import need

from lotterybench.errors import BadRequest
from lotterybench.submissions.sandbox import Budget, box


@cache
def missing():
    """Return why no sandbox can be had here, "" if one can."""
    try:
        with box.started(["/x"], [], {}, Budget()):
            return ""
    except BadRequest as error:
        return str(error)


def need_sandbox():
    """Skip where there is no sandbox, unless it is required."""
    need("sandbox", not missing(), missing())


def alive(marker):
    """Return the processes of this machine that carry a marker in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found
