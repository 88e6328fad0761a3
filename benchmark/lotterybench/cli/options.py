"""Options that several commands have, and reading those that take more than a type."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from lotterybench.errors import BadRequest
from lotterybench.records import Budget

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]


def budget_of(count: int | None, fraction: float | None, classes: int | None) -> Budget:
    """Return the budget of exactly one option; raise `BadRequest` for any other number."""
    if sum(value is not None for value in (count, fraction, classes)) != 1:
        raise BadRequest("give exactly one of --count, --fraction and --classes")
    if fraction is not None and not 0 < fraction <= 1:
        raise BadRequest(f"--fraction is {fraction}; it lies above 0 and is at most 1")
    for option, value in (("count", count), ("classes", classes)):
        if value is not None and value < 1:
            raise BadRequest(f"--{option} is {value}; it is at least 1")
    return Budget(count=count, fraction=fraction, classes=classes)


def settings_of(pairs: list[str] | None) -> dict[str, Any]:
    """Read KEY=VALUE pairs; a value is JSON if it parses, else text."""
    found: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadRequest(f"--set {pair!r} has no '='; the form is --set key=value")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def precision_of(name: str | None) -> Literal["fp32", "bf16"] | None:
    """Return a precision by its name; None leaves it to the device."""
    if name not in (None, "fp32", "bf16"):
        raise BadRequest(f"--precision is {name!r}; it is fp32 or bf16")
    return cast(Literal["fp32", "bf16"] | None, name)
