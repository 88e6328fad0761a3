"""From results to fidelity: how well each subset's seed means rank the configurations."""

from lotterybench.score.board import board, boards, score_track
from lotterybench.score.exact import exact_report, read_enumeration

__all__ = ["board", "boards", "exact_report", "read_enumeration", "score_track"]
