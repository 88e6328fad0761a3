"""Folders of submissions to begin with: each is sound as it is."""

from pathlib import Path
from typing import get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import TypeAdapter, ValidationError

from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadRequest
from lotterybench.paths import manifest_file, templates
from lotterybench.records import Budget, Slug
from lotterybench.storage import write_whole
from lotterybench.submissions.reading import FORMS
from lotterybench.submissions.records import NOBODY, RECORD, Kind
from lotterybench.submissions.words import shown

BASE, FRACTION = "digits", 0.1
SELECTOR = "class-balanced"  # of the subset that a draft holds
SECONDS = 60
LICENCES = {"subset": "CC0-1.0", "selector": "Apache-2.0", "method": "Apache-2.0"}
ABOUT = {
    "subset": "A tenth of digits, drawn evenly from every class.",
    "selector": "The samples that a proxy gets most wrong early in training, evenly from every "
    "class.",
    "method": "SimCLR on a small convolutional network.",
}


def new_submission(kind: str, name: str, folder: Path) -> list[Path]:
    """Write the draft of a submission into an empty or absent folder; return its files, in order.

    Raises `BadRequest` for a kind or a name that is none, and for a folder with something in it.
    """
    if kind not in get_args(Kind):
        raise BadRequest(f"{shown(kind)} is no kind; there are {', '.join(get_args(Kind))}")
    try:
        TypeAdapter(Slug).validate_python(name)
    except ValidationError:
        raise BadRequest(f"the name is {shown(name)}; {FORMS['name']}") from None
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest(f"{folder} is no empty folder; give another one as --out")
    values = {
        "kind": kind, "name": name, "licence": LICENCES[kind], "description": ABOUT[kind],
        "nobody": NOBODY, "fraction": FRACTION, "seconds": SECONDS, "entry": _entry(kind, name),
        "claimed": name if kind == "subset" else "uniform-10pct", "labels": "true",
    }  # fmt: skip
    for template, path in _files(kind).items():
        write_whole(folder / path, _rendered(template, values))
    if kind == "subset":
        subset, columns = build_subset(BASE, SELECTOR, Budget(fraction=FRACTION), name=name)
        save_subset(subset, columns, folder / "subsets")
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _entry(kind: str, name: str) -> str:
    """Return the entry point of a draft."""
    if kind == "subset":
        return manifest_file(Path("subsets"), f"{BASE}/{name}", 1).as_posix()
    return "selector.py:select" if kind == "selector" else "method.py:train"


def _files(kind: str) -> dict[str, str]:
    """Return the templates of a kind and the files that they become."""
    code = {} if kind == "subset" else {f"{kind}.py.j2": f"{kind}.py"}
    return {f"{RECORD}.j2": RECORD, "README.md.j2": "README.md", **code}


def _rendered(template: str, values: dict[str, object]) -> bytes:
    environment = Environment(  # text, not HTML: nothing is escaped, and the values are our own
        loader=FileSystemLoader(templates() / "submission"), undefined=StrictUndefined,
        trim_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    return environment.get_template(template).render(values).encode()
