"""A user's own method, from a Python file: `FILE.py:NAME`."""

import hashlib
import importlib.util
from pathlib import Path

from lotterybench.errors import BadRequest
from lotterybench.methods.base.shape import method


def load_own(where: str) -> str:
    """Register the function NAME of FILE.py as a method and return the name it has from now on.

    The name ends in the hash of the file, so a changed file is another method. The file is run:
    it is the user's own code. Raises `BadRequest` for what is not there or cannot be imported.
    """
    file, _, function = where.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise BadRequest(f"there is no file {file!r}; one's own method is given as FILE.py:NAME")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    name = f"own-{function.replace('_', '-').lower()}-{digest}"
    if name in method:
        return name
    spec = importlib.util.spec_from_file_location(f"lotterybench_own_{digest}", path)
    if spec is None or spec.loader is None:
        raise BadRequest(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadRequest(f"{file} cannot be imported: {type(error).__name__}: {error}") from None
    found = getattr(module, function, None)
    if not callable(found):
        raise BadRequest(f"{file} has no function {function!r}")
    method.add(name, found)
    return name
