"""Scoring an exact track: every class subset was trained on, so nothing is sampled (§8)."""

from lotterybench.score.exact.files import read_enumeration
from lotterybench.score.exact.report import exact_report

__all__ = ["exact_report", "read_enumeration"]
