"""The leaderboard site: pages and data files rendered from boards, byte for byte the same."""

from lotterybench.leaderboard.render import pages, render, stale

__all__ = ["pages", "render", "stale"]
