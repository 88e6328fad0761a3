"""The leaderboard site: pages and data files rendered from boards, byte for byte the same."""

from lotterybench.leaderboard.site import in_order, pages, render, stale

__all__ = ["in_order", "pages", "render", "stale"]
