"""What a stage's settings say: its samples on the device, and how its method trains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from lotterybench.kinds.stages.setting import Planned
from lotterybench.kinds.transfer.parts import Part, part_of
from lotterybench.kinds.transfer.samples import classes_in
from lotterybench.manifests import find_base
from lotterybench.methods import Task
from lotterybench.methods.base.data import Data, Resident
from lotterybench.methods.base.loop import Engine
from lotterybench.methods.base.observe import Observer
from lotterybench.records import Split
from lotterybench.studies.acceleration import Training
from lotterybench.studies.transfer import Domain


@dataclass(frozen=True)
class Setting(Planned):
    """The data and the plan of a stage; `on` holds its data, by default the stage's own."""

    on: dict[str, Any] | None = None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The stage's settings."""
        return {**self.stage.settings, **(self.on or {})}

    @cached_property
    def domain(self) -> Domain:
        """Whose samples they are."""
        return Domain(**self.settings["domain"])

    @cached_property
    def train(self) -> Part:
        """The training split, and the domain's samples of it."""
        return self._part("train")

    @cached_property
    def test(self) -> Part:
        """The test split, and the images of the domain's classes."""
        return self._part("test")

    @property
    def classes(self) -> int:
        """The number of labels."""
        return classes_in(self.domain)

    def training(self, lr: float | None = None) -> Training:
        """Return how the stage trains, at its own rate or another."""
        named = self.settings
        rate = named["lr"] if lr is None else lr
        return Training(**named["recipe"], epochs=named["epochs"], lr=rate)

    def data(self, rows: Tensor | None = None) -> Resident:
        """Return the domain's samples, or some rows of them."""
        train = self.train
        return Resident(train.images, train.labels, train.rows if rows is None else rows)

    def task(self, data: Data) -> Task:
        """Return the task of training on some data with the stage's own noise."""
        mirror = find_base(self.domain.base)[0].mirror
        return Task(data, self.classes, mirror, self.stage.key)

    def engine(self, *observers: Observer) -> Engine:
        """Return how a training is carried out: kept in the stage's checkpoint."""
        here = self.here
        return Engine(
            precision="bf16" if here.device.startswith("cuda") else "fp32",
            checkpoint=here.checkpoint, every=here.every, observers=observers,
        )  # fmt: skip

    def _part(self, split: Split) -> Part:
        return part_of(self.domain, split, self.settings["resolution"], self.here.device)
