"""Studies of accelerated training: a prior's targets, stage 1, and what it is compared with."""

from lotterybench.kinds.acceleration.plan import stages_of

__all__ = ["stages_of"]
