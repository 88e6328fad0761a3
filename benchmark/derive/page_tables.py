"""Markdown tables, as the pages that scripts write have them."""

from collections.abc import Iterable, Sequence

from lotterybench.studies.figures import Figure, Gap
from lotterybench.studies.report import StudyReport


def table(head: Sequence[str], rows: Iterable[Sequence[object]], text: int = 1) -> str:
    """Return a Markdown table, its first `text` columns to the left."""
    lines = [head, ["---"] * text + ["--:"] * (len(head) - text), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value: float | None, digits: int = 2) -> str:
    """Write a figure that may be undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def bounded(shown: Figure | Gap | None) -> str:
    """Write a mean with its bounds."""
    if shown is None:
        return "–"
    if shown.low is None or shown.high is None:
        return f"{shown.value:.2f}"
    return f"{shown.value:.2f} ({shown.low:.2f} – {shown.high:.2f})"


def failed(report: StudyReport) -> list[str]:
    """Return the section on what failed, if anything did."""
    if not report.failed:
        return []
    return ["## What failed\n", "\n".join(f"* {line}" for line in report.failed)]
