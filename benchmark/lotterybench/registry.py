"""Families of named things: `add` or `lazy` registers, brackets find, a wrong name is hinted."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from lotterybench.errors import UnknownName

T = TypeVar("T")


class Lazy:
    """A thing that is named now and imported on first use, as `module:attribute`."""

    def __init__(self, at: str, facts: dict[str, Any]) -> None:
        self.at = at
        self.facts = facts

    def load(self) -> Any:
        """Import the module and return the attribute."""
        module, attribute = self.at.split(":")
        return getattr(import_module(module), attribute)


class Registry(Generic[T]):
    """One family of named things: `method.add("mine", f)` adds, `method["mine"]` finds."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T | Lazy] = {}

    def add(self, name: str, thing: T) -> T:
        """Register a thing under a new name and return it unchanged."""
        self._claim(name)
        self._things[name] = thing
        return thing

    def lazy(self, name: str, *, at: str, **facts: Any) -> None:
        """Register `package.module:attribute` without importing it.

        `facts` are what can be told of the thing before it is imported (see `facts`).
        """
        self._claim(name)
        self._things[name] = Lazy(at, {"at": at, **facts})

    def facts(self, name: str) -> dict[str, Any]:
        """Return what was declared of a lazily registered thing; {} for any other."""
        thing = self._find(name)
        return thing.facts if isinstance(thing, Lazy) else {}

    def __getitem__(self, name: str) -> T:
        thing = self._find(name)
        return cast(T, thing.load()) if isinstance(thing, Lazy) else thing

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._things))

    def __len__(self) -> int:
        return len(self._things)

    def _claim(self, name: str) -> None:
        if name in self._things:
            raise ValueError(f"two {self.kind}s are named {name!r}")

    def _find(self, name: str) -> T | Lazy:
        if name not in self._things:
            raise unknown(self.kind, name, list(self))
        return self._things[name]


def unknown(kind: str, name: str, known: list[str]) -> UnknownName:
    """Return the error for a name that nobody registered, with the nearest name as a hint."""
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    return UnknownName(f"no {kind} is named {name!r}; {hint}")
