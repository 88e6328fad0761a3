"""What a stage of a study of pre-trained tickets trains, on any images, to time it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lotterybench.kinds.data import tensors
from lotterybench.kinds.pretrained.parts import everything
from lotterybench.kinds.pretrained.setting import Setting
from lotterybench.kinds.pretrained.targets import learner_on
from lotterybench.kinds.stages import Here, Stage
from lotterybench.methods import Learner, Task, method
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.dense.composed import compose
from lotterybench.methods.base.dense.scenes import Scenes
from lotterybench.studies.pretrained import Canvases, Pretraining, Target

SCENES = 128  # enough for a batch, and few enough to compose in a moment


def of_stage(stage: Stage, device: str) -> tuple[Task, Learner]:
    """Make ready a pre-training's method or a target's network, on the whole base."""
    setting = Setting(stage, Here(Path(), {}, device))
    task = setting.task(Resident(*setting.train, everything(setting.train[1])), stage.key)
    if "pretraining" in stage.settings:
        how = Pretraining(**stage.settings["pretraining"])
        learner = method[how.method](task, backbone=stage.settings["backbone"], **how.settings)
        assert isinstance(learner, Learner)
        return task, learner
    target = Target(**stage.settings["target"])
    scenes = _scenes(setting, target.canvases) if target.canvases else None
    if scenes is not None:
        task = setting.task(scenes.data(), stage.key)
    return task, learner_on(task, target, scenes)


def _scenes(setting: Setting, canvases: Canvases) -> Scenes:
    """Return some scenes of the canvases' size; PASCAL VOC is timed by composed ones as well."""
    images, labels = tensors(setting.base.id, "train", None, "cpu")
    made = compose(
        images, labels, everything(labels), count=SCENES, side=canvases.side, most=canvases.most,
        scales=(canvases.smallest, canvases.largest), generator=np.random.default_rng(0),
    )  # fmt: skip
    return made.to(torch.device(setting.here.device))
