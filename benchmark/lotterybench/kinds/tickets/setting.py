"""What a stage's settings say: the base on the device, its split, recipe and pruning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lotterybench.kinds.data import tensors
from lotterybench.kinds.stages.setting import Planned
from lotterybench.kinds.tickets.split import Split, split_of
from lotterybench.manifests import find_base
from lotterybench.methods import Task
from lotterybench.methods.base.data import Resident
from lotterybench.records import Base


@dataclass(frozen=True)
class Setting(Planned):
    """The data and the plan of a stage, read from its settings."""

    @cached_property
    def base(self) -> Base:
        """The base."""
        return find_base(self.settings["base"])[0]

    @cached_property
    def split(self) -> Split:
        """The samples to train on, and those held out."""
        return split_of(self.base, self.settings["validation"], self.settings["split"])

    @cached_property
    def train(self) -> tuple[Tensor, Tensor]:
        """The images of the training split, uint8 (N, C, H, W), and their labels."""
        return self._tensors("train")

    @cached_property
    def test(self) -> tuple[Tensor, Tensor]:
        """The images of the test split, and their labels."""
        return self._tensors("test")

    def _tensors(self, split: Any) -> tuple[Tensor, Tensor]:
        return tensors(self.base.id, split, self.settings["resolution"], self.here.device)

    def rows(self, positions: NDArray[np.int64]) -> Tensor:
        """Return positions as a tensor on the device."""
        return torch.from_numpy(positions).to(self.train[0].device)

    def task(self, positions: NDArray[np.int64]) -> Task:
        """Return the task of training on these positions, with the stage's own noise."""
        data = Resident(*self.train, self.rows(positions))
        return Task(data, len(self.base.class_names), self.base.mirror, self.stage.key)
