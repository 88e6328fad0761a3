"""What the command line prints: tables, JSON, progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lotterybench.enumerations import ExactCount
from lotterybench.estimates import Estimate
from lotterybench.fidelities import SubsetScores

if TYPE_CHECKING:
    from lotterybench.compare import Order

T = TypeVar("T")

# Progress and errors go to standard error, results to standard output.
notes = Console(stderr=True, soft_wrap=True, highlight=False)


def draw(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Draw a bar with the time that is left; nothing where nobody looks, or for one item."""
    if not notes.is_terminal or total < 2:
        yield from items
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=notes, transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


def emit(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as JSON or as a table."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print("none")
        return
    table = Table(*rows[0], box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    # Piped output is not cut to the 80 columns that a missing terminal is taken for.
    Console(width=None if sys.stdout.isatty() else 240, highlight=False).print(table)


def fidelity_row(entry: SubsetScores) -> dict[str, Any]:
    """Return one subset's fidelity as a row of text."""
    ref, fidelity = f"{entry.subset}@{entry.subset_version}", entry.fidelity
    row: dict[str, Any] = dict.fromkeys(
        ("tau-b", "5 % – 95 %", "rho", "ceiling", "cost", "verdict")
    )
    if fidelity is None:
        return {"subset": ref, **row, "verdict": f"{entry.missing} runs missing"}
    shown = fidelity.interval
    row |= {
        "tau-b": number(fidelity.tau),
        "5 % – 95 %": f"{shown.low:.2f} – {shown.high:.2f}" if shown else "too few families",
        "rho": number(fidelity.rho),
        "ceiling": number(fidelity.ceiling),
        "cost": f"{fidelity.total_ratio or fidelity.cost_ratio:.0%}",
        "verdict": f"{fidelity.verdict}: {fidelity.why}",
    }
    return {"subset": ref, **row}


def order_row(order: Order, as_json: bool) -> dict[str, Any]:
    """Return one order of two methods, as numbers or as text."""
    if as_json:
        return order._asdict()
    return {
        "better": order.better,
        "worse": order.worse,
        "points": f"{order.points:.2f}",
        "holds on full data": f"{order.holds:.0%}",
        "at least": "too few families" if order.low is None else f"{order.low:.0%}",
        "pairs as far apart": order.pairs,
    }


def exact_row(count: ExactCount) -> dict[str, Any]:
    """Return the report on all subsets of one size as a row of text."""
    how, best = count.procedure, count.best
    held = f"{how.tau:.2f} ({number(how.population)} at random)" if how else "undefined"
    found = "too few families"
    if best:
        exists = "yes" if best.exists else "no"
        found = f"{exists}: {best.tau:.2f}, surely {best.low:.2f}; {best.contenders} may be best"
    verdicts = "descriptive"
    if count.faithful is not None:
        verdicts = f"{count.faithful} / {count.tickets} / {count.refuted}"
    return {
        "classes": count.classes,
        "subsets": count.subsets,
        "mean tau-b": _estimate(count.tau),
        "5 % – 95 % of subsets": f"{count.low:.2f} – {count.high:.2f}",
        "less control": _estimate(count.difference),
        "faithful / tickets / refuted": verdicts,
        "better than the mean and 0.7": found,
        "best, on families not seen": held,
        "split-half (seeds)": number(count.reliability),
    }


def _estimate(shown: Estimate | None) -> str:
    if shown is None:
        return "not run"
    bounds = shown.interval
    beside = f" ({bounds.low:.2f} – {bounds.high:.2f})" if bounds else ""
    return f"{shown.value:.2f}{beside}"


def number(value: float | None) -> str:
    """Write a number with two digits."""
    return "undefined" if value is None else f"{value:.2f}"
