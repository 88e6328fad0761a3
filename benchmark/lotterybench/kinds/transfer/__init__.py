"""Transfer studies: tickets found on one data set and trained on another (One Ticket)."""

from lotterybench.kinds.transfer.plan import stages_of

__all__ = ["stages_of"]
