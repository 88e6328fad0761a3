"""Simulate the board's statistics on pools of known truth, and write down what they are worth.

Coverage of every interval, size of the tests, verdicts by true τ, the protocol's appendix. Writes
`study.json` beside this script and `docs/power.md`; the same figures on every run. A run that was
stopped goes on after its last whole section. One core, some minutes:

    OMP_NUM_THREADS=1 python benchmark/power/study.py [--quick] [--out DIR]
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appendix import appendix
from coverage import coverage
from nulls import nulls
from page import page
from together import together
from verdicts import sizes, verdicts

HERE = Path(__file__).parent
SECTIONS: dict[str, Callable[[bool], list[dict[str, Any]]]] = {
    "coverage": coverage, "null": nulls, "verdicts": verdicts, "sizes": sizes,
    "together": together, "appendix": appendix,
}  # fmt: skip


def main() -> None:
    """Run every section and write JSON and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs, to see that it works")
    parser.add_argument("--out", type=Path, help="a folder for both files")
    parser.add_argument("--page", action="store_true", help="write the page from study.json again")
    asked = parser.parse_args()
    if asked.quick and not asked.out:
        parser.error("--quick needs --out: its figures are no study")
    data = (asked.out or HERE) / "study.json"
    text = (asked.out or HERE.parents[1] / "docs") / "power.md"
    if not asked.page:
        draft = data.with_suffix(".draft")
        found = json.loads(draft.read_text(encoding="utf-8")) if draft.exists() else {}
        for name, section in SECTIONS.items():
            if name not in found:
                found[name] = section(asked.quick)
                lines = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
                draft.write_text(lines, encoding="utf-8")
        draft.replace(data)
    text.write_text(page(json.loads(data.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
