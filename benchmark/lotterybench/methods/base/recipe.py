"""A method's frozen recipe, read from its source without importing torch."""

import ast
import inspect
from dataclasses import dataclass

from lotterybench.methods.base.shape import method
from lotterybench.paths import PACKAGE


@dataclass(frozen=True)
class Recipe:
    """What a method does by default: its settings as written, its text and its file.

    `rates` are the swept peak learning rates, by the optimiser of the backbone.
    """

    name: str
    objective: str
    reads_labels: bool
    rates: dict[str, float]
    settings: dict[str, str]
    text: str
    file: str


def recipe(name: str) -> Recipe:
    """Return the recipe of a registered method; a setting without a default is `required`."""
    facts = method.facts(name)
    module, function = facts["at"].split(":")
    file = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    tree = ast.parse(file.read_text())
    found = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    defaults = [
        "required" if default is None else ast.unparse(default)
        for default in found.args.kw_defaults
    ]
    return Recipe(
        name=name,
        objective=facts["objective"],
        reads_labels=facts["labels"],
        rates=facts["rates"],
        settings=dict(zip((arg.arg for arg in found.args.kwonlyargs), defaults, strict=True)),
        text=ast.get_docstring(found) or "",
        file=file.relative_to(PACKAGE).as_posix(),
    )


def settings_of(name: str) -> list[str]:
    """Return the names of a method's settings; raise `UnknownName` for an unknown method."""
    if "at" in method.facts(name):
        return list(recipe(name).settings)
    parameters = inspect.signature(method[name]).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def needed_by(name: str) -> set[str]:
    """Return the settings that a method added from Python has no default for."""
    parameters = inspect.signature(method[name]).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
