"""Writes docs/STUDY.md from the committed report of a study, as its kind's page module has it.

lotterybench score STUDY --json > reference_results/STUDY/report.json
python benchmark/derive/study_page.py [STUDY ...]

Without a name, the pages of all committed reports are written again.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import acceleration_page
import pretrained_page
import tickets_page
import transfer_page

from lotterybench.tracks import study

ROOT = Path(__file__).parents[2]
PAGES: dict[str, Callable[[Path], str]] = {
    "acceleration": acceleration_page.page_of,
    "pretrained": pretrained_page.page_of,
    "tickets": tickets_page.page_of,
    "transfer": transfer_page.page_of,
}


def committed() -> list[str]:
    """Return the names of the studies with a committed report."""
    reports = sorted((ROOT / "reference_results").glob("*/report.json"))
    return [file.parent.name for file in reports if file.parent.name in study]


def page_of(name: str) -> str:
    """Return a study's page, from what is committed of it."""
    return PAGES[study[name].kind](ROOT / "reference_results" / name)


def page_file(name: str) -> Path:
    """Return where a study's page lies."""
    return ROOT / "docs" / f"{name}.md"


if __name__ == "__main__":
    for wanted in sys.argv[1:] or committed():
        page_file(wanted).write_text(page_of(wanted), encoding="utf-8")
