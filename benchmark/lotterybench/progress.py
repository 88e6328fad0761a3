"""Progress of long loops: the library announces it, the command line may draw it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Display = Callable[[Iterable[T], int, str], Iterator[T]]


def _silent(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    return iter(items)


_display: ContextVar[Display] = ContextVar("display", default=_silent)  # type: ignore[type-arg]


def bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Iterate over `items` (of which there are `total`), drawing progress if a display is set."""
    return _display.get()(items, total, what)


@contextmanager
def shown_by(display: Display) -> Iterator[None]:  # type: ignore[type-arg]
    """Draw every `bar` inside the block with `display`."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)
