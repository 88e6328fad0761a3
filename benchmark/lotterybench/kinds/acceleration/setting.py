"""What a stage's settings say: its samples on the device, and how its method trains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lotterybench.kinds.data import tensors
from lotterybench.kinds.stages import Here, Stage
from lotterybench.kinds.transfer.samples import (
    Samples,
    classes_in,
    held_out_samples,
    training_samples,
)
from lotterybench.manifests import find_base
from lotterybench.methods import Task
from lotterybench.methods.base.data import Data, Resident
from lotterybench.methods.base.loop import Engine
from lotterybench.methods.base.observe import Observer
from lotterybench.records import Split
from lotterybench.studies.acceleration import Training
from lotterybench.studies.transfer import Domain


@dataclass(frozen=True)
class Part:
    """A split on the device: images uint8 (N, C, H, W), labels int64 (N,), a domain's rows (n,).

    Labels are the domain's; other rows have −1.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor

    def first(self, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the domain's first images and labels, or all; by key, which is as at random."""
        rows = self.rows[:count]
        return self.images[rows], self.labels[rows]


@dataclass(frozen=True)
class Setting:
    """The data and the plan of a stage; `on` holds its data, by default the stage's own."""

    stage: Stage
    here: Here
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
        return self._part("train", training_samples(self.domain))

    @cached_property
    def test(self) -> Part:
        """The test split, and the images of the domain's classes."""
        return self._part("test", held_out_samples(self.domain))

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

    def _part(self, split: Split, samples: Samples) -> Part:
        images, theirs = tensors(
            self.domain.base, split, self.settings["resolution"], self.here.device
        )
        rows = torch.from_numpy(samples.positions).to(images.device)
        labels = torch.full_like(theirs, -1)
        labels[rows] = torch.from_numpy(samples.labels).to(labels)
        return Part(images, labels, rows)
