"""What the runs of a track of each kind do."""

from lotterybench.kinds.ranking import Run, execute

__all__ = ["Run", "execute"]
