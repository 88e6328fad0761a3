"""What is written down of ticket studies: their plans, and what each of their stages found."""

from lotterybench.studies.base import Finding, Pruning, Recipe, Study
from lotterybench.studies.tickets import Arm, TicketStudy

__all__ = ["Arm", "Finding", "Pruning", "Recipe", "Study", "TicketStudy"]
