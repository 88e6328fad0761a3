"""Progress of long loops: the library announces it, the command line may draw it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Display = Callable[[Iterable[Any], int, str], Iterator[Any]]
Table = Callable[[Iterable[Any], Sequence[Any], str], Iterator[Any]]


def _silent(items: Iterable[Any], total: object, what: str) -> Iterator[Any]:
    return iter(items)


class Displays(NamedTuple):
    """What draws bars, and what draws the table of a suite of runs."""

    bar: Display = _silent
    table: Table = _silent


NOTHING = Displays()
_displays: ContextVar[Displays] = ContextVar("displays", default=NOTHING)


def bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Iterate over `items` (of which there are `total`), drawing progress if a display is set."""
    return _displays.get().bar(items, total, what)


def table(events: Iterable[T], runs: Sequence[Any], what: str) -> Iterator[T]:
    """Iterate over what happens to `runs`, drawing it as it happens if a display is set."""
    return _displays.get().table(events, runs, what)


@contextmanager
def shown_by(bar: Display = _silent, table: Table = _silent) -> Iterator[None]:
    """Draw every `bar` and `table` inside the block with these."""
    token = _displays.set(Displays(bar, table))
    try:
        yield
    finally:
        _displays.reset(token)
