"""What a sandbox shows: the read-only root, by allow-list, and where inputs and outputs lie."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.paths import PACKAGE

INPUTS, SCRATCH, OUTPUTS = Path("/in"), Path("/scratch"), Path("/out")
# Folders of the one small file system that can be written, and the links that lead there.
WRITABLE = {"out": OUTPUTS, "tmp": Path("/tmp"), "shm": Path("/dev/shm")}
TEMPORARY = SCRATCH / "tmp"
DEVICES = ("null", "zero", "full", "random", "urandom")
LIBRARIES = ("lib", "lib32", "lib64")
SHARED = (Path("/usr"), Path("/usr/local"))  # prefixes that hold more than one interpreter
# The processors and their caches: torch, OpenMP and BLAS ask for them.
TOPOLOGY = (Path("/sys/devices/system/cpu"), Path("/sys/devices/system/node"))
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Mount(NamedTuple):
    """A path of the host and where the sandbox shows it, read-only; or a device."""

    source: Path
    place: Path
    device: bool = False


def environment(
    inputs: Path, outputs: Path, scratch: Path, more: Mapping[str, str]
) -> dict[str, str]:
    """Return all variables of a rerun; raise `BadRequest` for a name that is fixed or is none."""
    fixed = {
        "PATH": f"{sys.prefix}/bin", "HOME": str(scratch), "TMPDIR": str(scratch),
        "USER": "nobody", "LOGNAME": "nobody", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1", "INPUTS": str(inputs), "OUTPUTS": str(outputs),
    }  # fmt: skip
    for name, value in more.items():
        if name in fixed or not VARIABLE.fullmatch(name) or "\0" in value:
            raise BadRequest(
                f"a rerun cannot be given the variable {name!a}: names are letters, digits and _, "
                f"and {', '.join(fixed)} are fixed"
            )
    return {**fixed, **more}


def inputs(reads: Mapping[str, Path]) -> list[Mount]:
    """Return where each input is shown: /in/<name>; raise `BadRequest` for one that cannot be."""
    check(reads)
    for name, path in reads.items():
        if os.geteuid() == 0 and not _open_to_all(path):
            raise BadRequest(
                f"the input {name} is readable for its owner alone, and what root reruns does not "
                "run as root: chmod -R a+rX it, or rerun as an ordinary user"
            )
    return [Mount(path.resolve(), INPUTS / name) for name, path in reads.items()]


def check(reads: Mapping[str, Path]) -> None:
    """Raise `BadRequest` for an input with a name that is none, or that is not there."""
    for name, path in reads.items():
        if not NAME.fullmatch(name):
            raise BadRequest(
                f"{name!a} cannot name an input: use up to 64 of a-z, 0-9, '.', '_' and '-', "
                "a letter or digit first"
            )
        if not path.exists():
            raise BadRequest(f"the input {name} does not exist; give an existing file or folder")


def hidden(mounts: Iterable[Mount], folders: Iterable[Path] | None = None) -> list[Path]:
    """Return what is shown empty: the data that packages carry, where a mount holds them."""
    sources = [(mount, mount.source.resolve()) for mount in mounts]
    return [
        mount.place / folder.relative_to(source)
        for folder in (carried() if folders is None else folders)
        for mount, source in sources
        if folder.is_relative_to(source)
    ]


def carried() -> list[Path]:
    """Return folders of data that hold test images or labels.

    An installed lotterybench carries keyrings, scikit-learn the digits.
    """
    learn = importlib.util.find_spec("sklearn")
    places = learn.submodule_search_locations if learn else None
    folders = [PACKAGE / "_data", *(Path(place, "datasets", "data") for place in places or [])]
    return [folder.resolve() for folder in folders if folder.is_dir()]


def _open_to_all(path: Path) -> bool:
    """Say whether everybody may read a file, or a folder and what lies directly in it."""
    inside = path.iterdir() if path.is_dir() else ()
    return all(
        mode & (0o5 if each.is_dir() else 0o4) == (0o5 if each.is_dir() else 0o4)
        for each in (path, *inside)
        for mode in (each.stat().st_mode,)
    )


def system() -> list[Mount]:
    """Return what an interpreter needs: itself, its packages, shared libraries, the topology."""
    usr = Path("/usr")
    wanted = [usr / name for name in LIBRARIES]
    wanted += [Path("/") / name for name in LIBRARIES if not (Path("/") / name).is_symlink()]
    for prefix in _prefixes():
        if prefix in SHARED:
            wanted += [prefix / name for name in LIBRARIES]
        else:
            wanted.append(prefix)
    executable = Path(sys.executable).resolve()
    wanted += [executable, Path("/etc/ld.so.cache"), *TOPOLOGY]
    kept: list[Path] = []
    for path in dict.fromkeys(each for each in wanted if each.exists()):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return [Mount(path, path) for path in kept]


def _prefixes() -> Iterable[Path]:
    """Return the folders of the interpreter and of its virtual environment."""
    return dict.fromkeys(Path(each) for each in (sys.base_prefix, sys.prefix))


def library_links() -> dict[Path, str]:
    """Return the links of the root that lead to libraries, as /lib64 to usr/lib64."""
    links = (Path("/") / name for name in LIBRARIES)
    return {link: str(link.readlink()) for link in links if link.is_symlink()}


def gpu(number: int | None) -> list[Mount]:
    """Return the device files of one GPU of NVIDIA's and its driver's; none for None.

    The driver's own kernel interface comes with them and cannot be made smaller from here.
    """
    if number is None:
        return []
    device = Path(f"/dev/nvidia{number}")
    if not device.exists():
        raise BadRequest(f"there is no {device}; give the number of a GPU of this machine")
    files = [device, *(Path("/dev") / f"nvidia{rest}" for rest in ("ctl", "-uvm", "-uvm-tools"))]
    files += sorted(Path("/dev/nvidia-caps").glob("*"))
    found = [Mount(path, path, device=True) for path in files if path.exists()]
    more = (Path("/usr/local/nvidia"), Path("/usr/local/cuda"), Path("/sys/module/nvidia"),
            Path("/sys/bus/pci"), *Path("/sys/devices").glob("pci*"))  # fmt: skip
    return found + [Mount(path.resolve(), path) for path in more if path.exists()]
