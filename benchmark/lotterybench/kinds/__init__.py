"""What the runs of a track of each kind do."""

from lotterybench.kinds.ranking import execute
from lotterybench.kinds.runs import Attempt, Conduct, Done, Run, record

__all__ = ["Attempt", "Conduct", "Done", "Run", "execute", "record"]
