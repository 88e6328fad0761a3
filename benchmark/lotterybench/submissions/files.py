"""The files of a submission's folder: which are taken, what is wrong with the others, a digest."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.submissions.records import PART
from lotterybench.submissions.words import shown

SUFFIXES = (".json", ".md", ".parquet", ".py", ".toml", ".txt")
BARE = ("LICENSE", "LICENCE", "NOTICE")  # taken without a suffix
BINARY = ".parquet"  # the positions of a manifest
MOST_FILES = 64
MOST_FOLDERS = 64
DEEPEST = 5  # parts of a path
LARGEST = {".parquet": 8 * 2**20}  # bytes of a file; of others:
LARGEST_TEXT = 2**20
LARGEST_ALL = 16 * 2**20
CACHES = {"__pycache__"}  # what running the code leaves: neither checked nor sent
NAME = re.compile(PART)
ALLOWED_SPACES = {"\u00a0", "\u2009", "\u202f", "\u3000"}  # spaces that typography uses
LONGEST = 80  # characters of a name


class Folder(NamedTuple):
    """The files that were taken, by path inside the folder, and what is wrong with the others."""

    files: dict[str, bytes]
    problems: list[str]

    @property
    def digest(self) -> str:
        """The digest of the files taken."""
        return digest_of(self.files)


def read_folder(folder: Path) -> Folder:
    """Read a submission's files into memory; no link is followed, nothing but files is opened.

    Raises `BadRequest` if there is no such folder.
    """
    if not folder.is_dir():
        raise BadRequest(f"there is no folder {folder.name!r} that holds a submission")
    files: dict[str, bytes] = {}
    problems: list[str] = []
    folded: dict[str, str] = {}
    total = 0
    for path, entry, fault in _entries(folder):
        fault = fault or _fault(path, entry)
        twin = folded.setdefault(path.casefold(), path)
        if fault is None and twin != path:
            fault = f"differs from {twin} in upper and lower case alone"
        if fault is None and len(files) >= MOST_FILES:
            problems.append(f"there are more than {MOST_FILES} files")
            break
        if fault is None:
            found = _content(folder / path, LARGEST.get(_suffix(path), LARGEST_TEXT))
            fault = found if isinstance(found, str) else _text_fault(path, found)
            if isinstance(found, bytes) and fault is None:
                total += len(found)
                files[path] = found
        if fault is not None:
            problems.append(f"{_named(path)} {fault}")
        if total > LARGEST_ALL:
            problems.append(f"the files have more than {LARGEST_ALL // 2**20} MiB together")
            break
        if len(problems) >= MOST_FILES:
            problems.append("there may be more: mend these first")
            break
    return Folder(dict(sorted(files.items())), problems)


def listed_problems(sizes: Mapping[str, int]) -> list[str]:
    """Return what is wrong with files that are listed only: path inside the folder to bytes.

    What it has nothing against may be read; `read_folder` then looks at what is in them.
    """
    problems: list[str] = []
    folded: dict[str, str] = {}
    for path, size in sorted(sizes.items())[: 2 * MOST_FILES]:
        parts = path.split("/")
        fault = next((fault for part in parts if (fault := _name_fault(part))), None)
        most = LARGEST.get(_suffix(path), LARGEST_TEXT)
        twin = folded.setdefault(path.casefold(), path)
        if fault is None and len(parts) > DEEPEST:
            fault = f"lies in {len(parts) - 1} folders; {DEEPEST - 1} are allowed"
        if fault is None and _suffix(path) not in SUFFIXES and path not in BARE:
            fault = _kind_fault()
        if fault is None and twin != path:
            fault = f"differs from {twin} in upper and lower case alone"
        if fault is None and size > most:
            fault = f"has more than {most // 2**10} KiB"
        if fault is not None:
            problems.append(f"{_named(path)} {fault}")
    if len(sizes) > MOST_FILES:
        problems.append(f"there are {len(sizes)} files; {MOST_FILES} are allowed")
    if sum(sizes.values()) > LARGEST_ALL:
        problems.append(f"the files have more than {LARGEST_ALL // 2**20} MiB together")
    return problems


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the sha256 over files in the order of their paths: path, zero byte, length, bytes."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str], str | None]]:
    """Yield everything in a folder that is no folder, in order, with a fault of its place."""
    waiting, seen = [("", folder)], 0
    while waiting:
        before, place = waiting.pop()
        with os.scandir(place) as inside:
            # As many as could be told of: a folder may hold millions.
            entries = sorted(
                (entry for entry, _ in zip(inside, range(4 * MOST_FILES), strict=False)),
                key=lambda entry: entry.name,
            )
        for entry in entries:
            path = f"{before}{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                yield path, entry, None
            elif entry.name not in CACHES:
                seen += 1
                fault = _name_fault(entry.name)
                if path.count("/") + 1 >= DEEPEST:
                    fault = f"is a folder {DEEPEST} levels deep; files lie less deep"
                if fault is None and seen > MOST_FOLDERS:
                    fault = f"is one folder too many; {MOST_FOLDERS} are allowed"
                if fault is not None:
                    yield path, entry, fault
                else:
                    waiting.append((f"{path}/", place / entry.name))


def _fault(path: str, entry: os.DirEntry[str]) -> str | None:
    """Say why a thing in the folder is not taken, without opening it; None if it is."""
    if fault := _name_fault(entry.name):
        return fault
    if entry.is_symlink():
        return "is a link; put the file itself there"
    if not entry.is_file(follow_symlinks=False):
        return "is neither a file nor a folder"
    if _suffix(path) not in SUFFIXES and path not in BARE:
        return _kind_fault()
    return None


def _kind_fault() -> str:
    return f"is none of the files that are taken: {' '.join(SUFFIXES)}, {', '.join(BARE)}"


def _name_fault(name: str) -> str | None:
    if name.startswith("."):
        return "is hidden; hidden files and folders are not taken"
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        return f"has a name that is not of 1 to {LONGEST} ASCII letters, digits and ._-"
    return None


def _content(file: Path, most: int) -> bytes | str:
    """Return a file's bytes, or why they are not taken."""
    try:
        # Not to follow a link that came since, nor to wait for a pipe's other end.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    with os.fdopen(handle, "rb") as opened:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            return "is neither a file nor a folder"
        content = opened.read(most + 1)
    if len(content) > most:
        return f"has more than {most // 2**10} KiB"
    return content


def _text_fault(path: str, content: bytes) -> str | None:
    """Say why a text file is none; None for Parquet, which is read where the manifest is."""
    if _suffix(path) == BINARY:
        return None if content[:4] == content[-4:] == b"PAR1" else "is no Parquet file"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        for sign in line:
            if sign != "\t" and not sign.isprintable() and sign not in ALLOWED_SPACES:
                return f"has the character U+{ord(sign):04X} in line {number}: text is visible"
    return None


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix


def _named(path: str) -> str:
    return path if all(NAME.fullmatch(part) for part in path.split("/")) else shown(path, 100)
