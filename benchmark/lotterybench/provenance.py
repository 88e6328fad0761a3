"""What made a thing: versions of the software and digests of the code."""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lotterybench.paths import PACKAGE


@cache
def package_version() -> str:
    """Return the version of lotterybench."""
    try:
        return version("lotterybench")
    except PackageNotFoundError:  # imported from a checkout that is not installed
        return "0.0.0+uninstalled"


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, lotterybench and the named packages."""
    found = {"python": platform.python_version(), "lotterybench": package_version()}
    return found | {name: version(name) for name in packages}


@cache
def code_digest(*patterns: str) -> str:
    """Return the sha256 over the package's source files that match the glob patterns.

    Each file enters as its name, a zero byte, its length and its bytes, in name order.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)}):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@cache
def processor() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
