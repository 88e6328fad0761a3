"""Submissions that are the same: by their files, by their code, by what they select."""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.manifests import (
    find_manifest,
    load_positions,
    load_subset_manifest,
    subsets,
)
from lotterybench.records import Subset
from lotterybench.submissions.files import digest_of
from lotterybench.submissions.records import RECORD
from lotterybench.submissions.referee.records import Twin
from lotterybench.submissions.referee.workplace import Workplace


def twins_of(
    name: str, files: Mapping[str, bytes], manifest: Path | None, workplace: Workplace
) -> list[Twin]:
    """Return the submissions of a workplace, and manifests known here, that are the same.

    The strongest likeness of each is told. `manifest` is that which the submission is or gave; two
    select the same if their samples, or classes, are the same in any order.
    """
    found: dict[str, Twin] = {}
    mine, code = _content(files), code_digest_of(files)
    for other, theirs in _others(name, workplace):
        if _content(theirs) == mine:
            found[other] = Twin(name=other, same="files")
        elif code and code_digest_of(theirs) == code:
            found[other] = Twin(name=other, same="code")
    if manifest is not None:
        for other in _same_selection(manifest, name, workplace):
            found.setdefault(other, Twin(name=other, same="selection"))
    return [found[other] for other in sorted(found)]


def code_digest_of(files: Mapping[str, bytes]) -> str | None:
    """Return a digest of what the Python files do, None if there are none that can be read.

    Comments, layout, doc strings, file names and the names of what the code itself defines make no
    difference.
    """
    trees = []
    for path, content in sorted(files.items()):
        if path.endswith(".py"):
            try:
                trees.append(_normal(ast.parse(content)))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
    if not trees:
        return None
    return hashlib.sha256("\0".join(sorted(trees)).encode()).hexdigest()


def _content(files: Mapping[str, bytes]) -> str:
    """Return a digest of the files but the record, which has the name in it."""
    return digest_of({path: text for path, text in files.items() if path != RECORD})


def _normal(tree: ast.Module) -> str:
    """Return a tree as text, what it defines itself numbered in the order of appearance."""
    own: dict[str, str] = {}
    for node in ast.walk(tree):
        for field, name in _defined(node):
            del field
            own.setdefault(name, f"_{len(own)}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        for field, name in (*_defined(node), *_used(node)):
            if name in own:
                setattr(node, field, own[name])
    return ast.dump(tree)


def _defined(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the field and the name of what a node defines in the code's own scopes."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield "id", node.id
    elif isinstance(node, ast.arg):
        yield "arg", node.arg
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield "name", node.name


def _used(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Name):
        yield "id", node.id
    elif isinstance(node, ast.keyword) and node.arg is not None:
        yield "arg", node.arg


def _others(name: str, workplace: Workplace) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the other submissions of a workplace with their files as they were taken."""
    for place in sorted((workplace.folder / "submissions").glob("*")):
        folder = workplace.files(place.name)
        if place.name != name and folder.is_dir():
            yield (
                place.name,
                {
                    file.relative_to(folder).as_posix(): file.read_bytes()
                    for file in sorted(folder.rglob("*"))
                    if file.is_file()
                },
            )


def _same_selection(manifest: Path, name: str, workplace: Workplace) -> Iterator[str]:
    """Yield the names of manifests that select the same: submitted ones and those known here."""
    mine, positions = load_subset_manifest(manifest)
    files = [
        *sorted(workplace.subsets.glob(f"{mine.base}/*/v*.json")),
        *(find_manifest(ref) for ref in subsets(mine.base)),
    ]
    for file in files:
        other = Subset.read(file.read_bytes(), str(file))
        if other.name == name or other.kind != mine.kind:
            continue
        if mine.classes is not None and other.classes is not None:
            same = {*mine.classes} == {*other.classes}
        else:
            same = positions is not None and _same_samples(positions, other, file)
        if same:
            yield other.name


def _same_samples(positions: NDArray[np.int64], other: Subset, file: Path) -> bool:
    """Say whether a manifest has these positions, in any order."""
    if other.positions is None or other.positions.count != len(positions):
        return False
    return np.array_equal(np.sort(positions), np.sort(load_positions(file)["position"]))
