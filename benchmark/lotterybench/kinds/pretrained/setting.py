"""What a stage's settings say: base, parts, network and pruning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lotterybench.kinds.pretrained.parts import images_of, parts_of
from lotterybench.kinds.stages.setting import Planned
from lotterybench.manifests import find_base
from lotterybench.methods import Task
from lotterybench.methods.base.data import Resident
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.records import Base

NEXT = "next.safetensors"  # the masks that a round leaves


@dataclass(frozen=True)
class Setting(Planned):
    """The data and the plan of a stage, read from its settings."""

    @cached_property
    def base(self) -> Base:
        """The base whose images the stage reads."""
        return find_base(self.settings["base"])[0]

    @cached_property
    def train(self) -> tuple[Tensor, Tensor]:
        """The images and labels of the training split."""
        return images_of(self.base.id, "train", self.settings["resolution"], self.here.device)

    @cached_property
    def test(self) -> tuple[Tensor, Tensor]:
        """The images and labels of the test split."""
        return images_of(self.base.id, "test", self.settings["resolution"], self.here.device)

    def data(self, part: str) -> Resident:
        """Return the images of a part."""
        parts = parts_of(self.base.id, self.settings["shares"], self.settings["others"])
        rows = torch.from_numpy(parts[part]).to(self.train[0].device)
        return Resident(*self.train, rows)

    def task(self, data: Resident, run: str) -> Task:
        """Return the task of training on data of the base, with the noise of `run`."""
        return Task(data, len(self.base.class_names), self.base.mirror, run)

    def masks(self) -> Masks | None:
        """Return the masks that the stage needs; None if it needs none."""
        folder = self.here.needs.get("masks")
        return load_masks(folder / NEXT) if folder else None
