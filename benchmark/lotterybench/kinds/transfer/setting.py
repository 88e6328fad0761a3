"""What a stage's settings say: the domain on the device, its recipe and how it is pruned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lotterybench.kinds.stages.setting import Planned
from lotterybench.kinds.stages.watching import accuracy
from lotterybench.kinds.transfer.parts import Part, part_of
from lotterybench.kinds.transfer.samples import classes_in
from lotterybench.manifests import find_base
from lotterybench.methods import Learner, Task
from lotterybench.methods.base.data import Resident
from lotterybench.records import Split
from lotterybench.studies.transfer import Domain


@dataclass(frozen=True)
class Setting(Planned):
    """The data and the plan of a stage, read from its settings."""

    @cached_property
    def domain(self) -> Domain:
        """The domain that the stage trains on."""
        return Domain(**self.settings["domain"])

    def task(self, run: str) -> Task:
        """Return the task of training on the domain with the noise of `run`."""
        base, _ = find_base(self.domain.base)
        train = self._part("train")
        data = Resident(train.images, train.labels, train.rows)
        return Task(data, classes_in(self.domain), base.mirror, run)

    def tested(self, learner: Learner) -> tuple[float, int]:
        """Return a network's accuracy on the domain's test images in per cent, and their number."""
        test = self._part("test")
        learner.net.eval()
        assert learner.classifier is not None
        right = accuracy(learner.encoder, learner.classifier, test.images, test.labels, test.rows)
        return right, len(test.rows)

    def _part(self, split: Split) -> Part:
        return part_of(self.domain, split, self.settings["resolution"], self.here.device)
