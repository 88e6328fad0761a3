"""Which function plans the studies of each kind."""

from collections.abc import Callable
from typing import Any

from lotterybench.kinds.stages import Stage
from lotterybench.registry import Registry

# A planner is called as planner(study, base, seeds); seeds None means the study's own number.
Planner = Callable[..., list[Stage]]

planner: Registry[Any] = Registry("kind of study")
planner.lazy("tickets", at="lotterybench.kinds.tickets:stages_of")
planner.lazy("transfer", at="lotterybench.kinds.transfer:stages_of")
planner.lazy("pretrained", at="lotterybench.kinds.pretrained:stages_of")
planner.lazy("acceleration", at="lotterybench.kinds.acceleration:stages_of")
