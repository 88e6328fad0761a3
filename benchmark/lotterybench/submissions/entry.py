"""What can be told of submitted code without running it: its entry point, and what it imports."""

import ast
import warnings
from collections.abc import Iterator, Mapping

from lotterybench.submissions.records import Kind, Submission
from lotterybench.submissions.words import shown

# The arguments that the referee gives, by position.
ARGUMENTS = {
    "selector": ("signals", "labels", "size", "rng"),
    "method": ("images", "labels", "seed", "budget"),
}
# Parts of this package that code may import: they read neither images nor labels nor results.
OWN = {"errors", "methods", "selection", "signals"}
# What fetches, or reads data sets: code is given everything that it may see (protocol §6). The
# sandbox is what holds; this tells an author before it does.
OUTSIDE = {
    "aiohttp", "asyncio", "datasets", "ftplib", "http", "httpx", "huggingface_hub", "requests",
    "sklearn.datasets", "smtplib", "socket", "ssl", "tensorflow_datasets", "torch.hub",
    "torchvision.datasets", "urllib", "urllib3", "webdataset", "xmlrpc",
}  # fmt: skip
# What starts other programs, or steps around Python.
ESCAPES = {"cffi", "ctypes", "marshal", "multiprocessing", "pickle", "pty", "subprocess"}


def code_problems(record: Submission | None, files: Mapping[str, bytes]) -> list[str]:
    """Return every problem of a submission's Python files and of its entry point."""
    found: list[str] = []
    trees: dict[str, ast.Module] = {}
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        tree = _parsed(content)
        if isinstance(tree, str):
            found.append(f"{path} {tree}")
        else:
            trees[path] = tree
            found += [f"{path} {fault}" for fault in _import_faults(tree, files)]
    if record is None:
        return found
    if record.file not in files:
        found.append(f"entry is {record.file}, which is none of the files that are taken")
    elif record.file in trees:
        where = f"{record.file}:{record.function}"
        found += [f"{where} {fault}" for fault in _entry_faults(record, trees[record.file])]
    return found


def _parsed(content: bytes) -> ast.Module | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes: the author's own matter
            return ast.parse(content)
    except SyntaxError as error:
        return f"is no Python: {shown(error.msg)} in line {error.lineno or 1}"
    except (RecursionError, MemoryError):
        return "is nested too deeply to be read"
    except ValueError as error:
        return f"is no Python: {shown(error)}"


def _import_faults(tree: ast.Module, files: Mapping[str, bytes]) -> list[str]:
    beside = {path.split("/")[0].removesuffix(".py") for path in files if path.endswith(".py")}
    found = []
    for line, name in _imports(tree):
        parts = name.split(".")
        if parts[0] in beside:
            continue
        names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
        why = None
        if parts[0] == "lotterybench" and not (len(parts) > 1 and parts[1] in OWN):
            why = f"of this package code may import {', '.join(sorted(OWN))}"
        elif names & OUTSIDE:
            why = "code is given all that it may see, and reaches nothing else (protocol §6)"
        elif names & ESCAPES:
            why = "code starts no programs and reads no pickles"
        if why is not None:
            found.append(f"imports {shown(name)} in line {line}; {why}")
    return list(dict.fromkeys(found))


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import, names taken from a module as parts of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def _entry_faults(record: Submission, tree: ast.Module) -> list[str]:
    """Say what is wrong with the function that the referee calls."""
    found = [
        node for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == record.function
    ]  # fmt: skip
    if not found:
        return ["is not there: the entry is a function at the top of the file"]
    if len(found) > 1:
        return ["is defined more than once"]
    function = found[0]
    if isinstance(function, ast.AsyncFunctionDef):
        return ["is asynchronous; it is a plain function"]
    faults = _signature_faults(function.args, record.kind, set(record.settings))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(function)):
        faults.append("is a generator; it returns its result")
    return faults


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield what a function consists of, without what functions inside it do."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _signature_faults(arguments: ast.arguments, kind: Kind, settings: set[str]) -> list[str]:
    wanted = ARGUMENTS[kind]
    given = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    faults = []
    if given != list(wanted) or arguments.vararg or arguments.kwarg or arguments.defaults:
        faults.append(
            f"takes ({', '.join([*given, *_stars(arguments)])}); a {kind} takes "
            f"({', '.join(wanted)}, *, and its settings by name)"
        )
    known = {one.arg for one in arguments.kwonlyargs}
    needed = {
        one.arg
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    }
    if strange := sorted(settings - known):
        faults.append(f"has no setting {', '.join(strange)}, which settings names")
    if missing := sorted(needed - settings):
        faults.append(f"needs the setting {', '.join(missing)}: put it into settings")
    return faults


def _stars(arguments: ast.arguments) -> list[str]:
    signs = (("*", arguments.vararg), ("**", arguments.kwarg))
    return [f"{sign}{one.arg}" for sign, one in signs if one is not None]
