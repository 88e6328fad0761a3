"""Studies of lottery tickets in pre-trained networks: masks found before and on each target."""

from lotterybench.kinds.pretrained.plan import stages_of

__all__ = ["stages_of"]
