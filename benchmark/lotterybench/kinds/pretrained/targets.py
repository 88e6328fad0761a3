"""Targets: what is learnt, from which images, and how well it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from lotterybench.kinds.pretrained.parts import everything
from lotterybench.kinds.pretrained.scenes import load_scenes
from lotterybench.kinds.pretrained.setting import Setting
from lotterybench.kinds.stages.training import learner_of, schedule_of
from lotterybench.kinds.stages.watching import accuracy
from lotterybench.methods import Learner, Task
from lotterybench.methods.base.dense.average_precision import ap50, average_precision, mean_iou
from lotterybench.methods.base.dense.detection import detect, detection
from lotterybench.methods.base.dense.scenes import Scenes
from lotterybench.methods.base.dense.segmentation import segment, segmentation
from lotterybench.methods.base.dense.voc import CLASSES
from lotterybench.studies.pretrained import Target


@dataclass(frozen=True)
class Learnt:
    """A target on the device: its training images of one part, and its test images."""

    setting: Setting
    part: str

    @property
    def target(self) -> Target:
        """The target."""
        return Target(**self.setting.settings["target"])

    def ready(self, heads: str, run: str) -> tuple[Task, Learner]:
        """Return a task with the noise of `run`, and its learner, its head from that of `heads`."""
        target = self.target
        if target.canvases is None:
            data = self.setting.data(self.part)
            return self.setting.task(data, run), learner_on(self.setting.task(data, heads), target)
        scenes = self._scenes(self.part)
        return self._task(scenes, run), learner_on(self._task(scenes, heads), target, scenes)

    def judged(self, learner: Learner) -> dict[str, float]:
        """Return what a trained learner reaches on test images, in per cent."""
        head = learner.classifier
        assert head is not None
        if self.target.task == "classification":
            images, labels = self.setting.test
            return {"accuracy": accuracy(learner.encoder, head, images, labels, everything(labels))}
        scenes = self._scenes("test")
        if self.target.task == "segmentation":
            return {"miou": mean_iou(_said(learner, scenes), scenes.masks)}
        found = detect(learner.encoder, head, scenes.images)
        return {"ap50": ap50(found, scenes), "ap": average_precision(found, scenes)}

    def _scenes(self, use: str) -> Scenes:
        return load_scenes(self.setting.here.needs["scenes"], use, self.setting.here.device)

    def _task(self, scenes: Scenes, run: str) -> Task:
        canvases = self.target.canvases
        if canvases is not None and canvases.source == "voc":
            return Task(scenes.data(), len(CLASSES), True, run)
        return self.setting.task(scenes.data(), run)


def learner_on(task: Task, target: Target, scenes: Scenes | None = None) -> Learner:
    """Return a target's learner: of classes, or of the boxes or masks of its scenes."""
    recipe = target.recipe
    if scenes is None:
        return learner_of(task, recipe)
    made = detection if target.task == "detection" else segmentation
    learner = made(task, scenes, epochs=recipe.epochs, lr=recipe.lr, backbone=recipe.backbone)
    return replace(learner, schedule=schedule_of(recipe))


def _said(learner: Learner, scenes: Scenes) -> Tensor:
    assert learner.classifier is not None
    return segment(learner.encoder, learner.classifier, scenes.images)
