"""What every kind's stage says in its settings: how networks are trained and pruned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lotterybench.kinds.stages.stage import Here, Stage
from lotterybench.studies import Pruning, Recipe


@dataclass(frozen=True)
class Planned:
    """A stage and where it runs; a kind's own setting adds its data."""

    stage: Stage
    here: Here

    @property
    def settings(self) -> dict[str, Any]:
        """The stage's settings."""
        return self.stage.settings

    @cached_property
    def recipe(self) -> Recipe:
        """How networks are trained."""
        return Recipe(**self.settings["recipe"])

    @cached_property
    def pruning(self) -> Pruning:
        """How networks are pruned."""
        return Pruning(**self.settings["pruning"])
