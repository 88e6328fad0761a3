"""Running a study of tickets, and telling what it would cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lotterybench.cli.output import emit
from lotterybench.errors import LotteryBenchError
from lotterybench.records import Record

if TYPE_CHECKING:
    from lotterybench.forecast import Outlook
    from lotterybench.studies import Study


def carry_on(
    study: Study, out: Path, seeds: int | None, device: str, jobs: int | None, plan_only: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Carry out what is left of a study, or only tell what that would cost at most."""
    if plan_only:
        from lotterybench.study_forecast import study_outlook

        rows = study_outlook(study, out, seeds=seeds, device=device, jobs=jobs)
        emit_outlook(rows, as_json)
        return
    from lotterybench.run_study import run_study

    try:
        summary = run_study(study, out, seeds=seeds, device=device, jobs=jobs)
    except KeyboardInterrupt:
        raise LotteryBenchError("stopped; repeat the command to continue") from None
    if as_json:
        print(json.dumps(asdict(summary), indent=2, default=str))
        return
    done = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    print(
        f"{summary.folder}: {summary.planned} stages, "
        f"{summary.before} were there, now {done or 'none'}"
    )


def emit_outlook(rows: list[Outlook], as_json: bool) -> None:
    """Print what is left of each arm, and of all."""
    images, seconds = sum(row.images for row in rows), sum(row.seconds for row in rows)
    runs, done = sum(row.runs for row in rows), sum(row.done for row in rows)
    table = [row._asdict() for row in rows]
    table.append({"arm": "all", "runs": runs, "done": done, "images": images, "seconds": seconds})
    if not as_json:
        for line in table:
            line["time"] = str(timedelta(seconds=round(line.pop("seconds"))))
            line["images"] = f"{line['images']:,}"
    emit(table, as_json)


def tell(study: Study, folder: Path, as_json: bool) -> None:
    """Print what a study found: every table of its report, or the report as JSON."""
    from lotterybench.run_study import read_findings
    from lotterybench.score.studies import report

    found = report[study.kind](study, read_findings(folder))
    if as_json:
        print(json.dumps(found.fields(), indent=2))
        return
    for line in found.says:
        print(line)
    for name, rows in found:
        if isinstance(rows, list) and rows and not isinstance(rows[0], str):
            print(f"\n{name}")
            emit([{key: _shown(value) for key, value in row} for row in rows], False)
    for line in found.failed:
        print(f"failed: {line}")


def _shown(value: object) -> object:
    """Return a cell: a figure with half of its interval, other estimates with their bounds."""
    from lotterybench.studies.figures import Figure

    if isinstance(value, Figure):
        return str(value)
    if isinstance(value, Record) and {"value", "low", "high"} <= set(type(value).model_fields):
        middle, low, high = (getattr(value, name) for name in ("value", "low", "high"))
        return f"{middle:+.2f}" + ("" if low is None else f" [{low:+.2f}, {high:+.2f}]")
    return round(value, 3) if isinstance(value, float) else value
