"""PrAC studies: tickets found on fewer samples, and everything they are compared with."""

from lotterybench.kinds.tickets.plan import stages_of

__all__ = ["stages_of"]
