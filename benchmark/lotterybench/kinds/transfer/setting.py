"""What a stage's settings say: the domain on the device, its recipe and how it is pruned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lotterybench.kinds.data import tensors
from lotterybench.kinds.stages import Here, Stage
from lotterybench.kinds.stages.watching import accuracy
from lotterybench.kinds.transfer.samples import (
    Samples,
    classes_in,
    held_out_samples,
    training_samples,
)
from lotterybench.manifests import find_base
from lotterybench.methods import Learner, Task
from lotterybench.methods.base.data import Resident
from lotterybench.records import Split
from lotterybench.studies import Pruning, Recipe
from lotterybench.studies.transfer import Domain


@dataclass(frozen=True)
class Setting:
    """The data and the plan of a stage, read from its settings."""

    stage: Stage
    here: Here

    @cached_property
    def domain(self) -> Domain:
        """The domain that the stage trains on."""
        return Domain(**self.stage.settings["domain"])

    @cached_property
    def recipe(self) -> Recipe:
        """How it trains."""
        return Recipe(**self.stage.settings["recipe"])

    @cached_property
    def pruning(self) -> Pruning:
        """What is pruned, and how."""
        return Pruning(**self.stage.settings["pruning"])

    def task(self, run: str) -> Task:
        """Return the task of training on the domain with the noise of `run`."""
        base, _ = find_base(self.domain.base)
        data = Resident(*self._split("train", training_samples(self.domain)))
        return Task(data, classes_in(self.domain), base.mirror, run)

    def tested(self, learner: Learner) -> tuple[float, int]:
        """Return a network's accuracy on the domain's test images in per cent, and their number."""
        images, labels, rows = self._split("test", held_out_samples(self.domain))
        learner.net.eval()
        assert learner.classifier is not None
        return accuracy(learner.encoder, learner.classifier, images, labels, rows), len(rows)

    def _split(self, split: Split, samples: Samples) -> tuple[Tensor, Tensor, Tensor]:
        """Return a whole split's images, the domain's labels where it has some, and its rows."""
        images, theirs = tensors(
            self.domain.base, split, self.stage.settings["resolution"], self.here.device
        )
        rows = torch.from_numpy(samples.positions).to(images.device)
        labels = torch.full_like(theirs, -1)
        labels[rows] = torch.from_numpy(samples.labels).to(labels)
        return images, labels, rows
