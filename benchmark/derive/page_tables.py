"""Markdown tables, as the pages that scripts write have them."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]], text: int = 1) -> str:
    """Return a Markdown table, its first `text` columns to the left."""
    lines = [head, ["---"] * text + ["--:"] * (len(head) - text), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
