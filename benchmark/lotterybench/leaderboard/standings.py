"""What a board's page says of random subsets, of selectors, and of the order of its rows."""

from statistics import fmean
from typing import Any

from lotterybench.fidelities import Board
from lotterybench.standings import Nulls

ALPHA = 0.05  # of a difference of two selectors, after Holm


def standings_view(board: Board) -> dict[str, Any]:
    """Return the random subsets by size, random-type selectors, and the selectors that differ."""
    scores = board.selectors.scores if board.selectors else []
    pairs = board.selectors.differences if board.selectors else []
    return {
        "nulls": [_row(null) for null in board.nulls],
        "procedures": [one for one in scores if one.random],
        "compared": len(pairs),
        "differing": [one for one in pairs if one.p_holm is not None and one.p_holm <= ALPHA],
    }


def why_by_name(board: Board, decided: bool) -> str:
    """Say why subsets that are tested on everything are not in the order of τ (protocol §9)."""
    if board.ranked is None:
        return "fewer than three complete subsets, so nothing tells their order from noise"
    if not board.ranked.holds:
        return board.ranked.why
    return "" if decided else "with so small a pool the order of τ-b is not evidence"


def _row(null: Nulls) -> dict[str, Any]:
    """Return the random subsets of one size: how many, and the range of their τ."""
    taus = [tau for tau in null.tau if tau is not None]
    return {
        "null": null,
        "count": len(null.tau),
        "low": min(taus, default=None),
        "mean": fmean(taus) if taus else None,
        "high": max(taus, default=None),
    }
