"""What `score` and `compare` print of a board beside its table of fidelities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lotterybench.cli.output import number
from lotterybench.estimates import Interval
from lotterybench.fidelities import Board, SubsetScores
from lotterybench.standings import Difference

if TYPE_CHECKING:
    from lotterybench.compare import SideBySide

ALPHA = 0.05  # after Holm


def in_order(board: Board) -> Sequence[SubsetScores]:
    """Return subsets by falling τ where the board ranks them, else by name (protocol §9).

    Those that are tested on their own classes are not ranked and come last (protocol §7).
    """
    by_name = sorted(board.subsets, key=lambda one: (one.subset, one.subset_version))
    if board.ranked is None or not board.ranked.holds:
        return by_name
    return sorted(by_name, key=_falling)


def remarks(board: Board) -> list[str]:
    """Return the lines under the table: the order, the null, and selectors as procedures."""
    found = []
    if board.ranked is None:
        found.append(
            "Listed by name: fewer than three complete subsets are tested on everything, so it "
            "cannot be told whether their order is more than noise (protocol §9)."
        )
    elif not board.ranked.holds:
        found.append(f"Listed by name: {board.ranked.why}.")
    for null in board.nulls:
        taus = [tau for tau in null.tau if tau is not None]
        beside = f" with the class counts of {null.matched}" if null.matched else ""
        span = f": tau-b {min(taus):.2f} – {max(taus):.2f}" if taus else ""
        waits = f", {null.missing} missing" if null.missing else ""
        found.append(
            f"{len(null.tau)} random subsets of {null.size} {null.kind}{beside}{span}{waits}"
        )
    chosen = board.selectors
    for one in chosen.scores if chosen else ():
        if one.random:
            told = one.why or f"tau-b {number(one.tau)} over {len(one.subsets)} draws"
            better = "" if one.p_holm is None else f", p = {one.p_holm:.3f} against random"
            found.append(f"{one.selector}, {one.size} {one.kind}: {told}{better}")
    for pair in chosen.differences if chosen else ():
        if pair.p_holm is not None and pair.p_holm <= ALPHA:
            found.append(difference_line(pair))
    return found


def side_rows(found: SideBySide) -> list[dict[str, Any]]:
    """Return two subsets and their difference as rows of text."""
    rows: list[tuple[str, float | None, Interval | None, float | None]] = [
        (one.subset, one.tau, one.interval, None) for one in found.sides
    ]
    if found.difference is not None:
        pair = found.difference
        rows.append(("difference", pair.difference, pair.interval, pair.p))
    return [
        {
            "subset": name,
            "tau-b": number(value),
            "5 % – 95 %": f"{span.low:.2f} – {span.high:.2f}" if span else "too few families",
            "p": None if p is None else f"{p:.4f}",
            "based on": f"{found.configurations} configurations in {found.families} families",
        }
        for name, value, span, p in rows
    ]


def difference_line(pair: Difference) -> str:
    """Return two selectors' difference as a line."""
    return (
        f"{pair.one} less {pair.other}: tau-b {pair.difference:+.2f}, p = {pair.p_holm:.3f} "
        "after Holm"
    )


def _falling(one: SubsetScores) -> float:
    """Return the key that sorts by falling τ, subsets that have none or are not ranked last."""
    fidelity = one.fidelity
    if fidelity is None or fidelity.tau is None or fidelity.scope != "full":
        return 2.0
    return -fidelity.tau
