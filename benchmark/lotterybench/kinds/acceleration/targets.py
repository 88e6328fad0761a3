"""The targets of a prior for the samples of a study: its features, reduced and whitened."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from lotterybench.kinds.acceleration.priors import prior_at
from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.methods.base.backbones import build, dimension
from lotterybench.methods.base.targets import targets_of
from lotterybench.storage import write_whole

FILE = "targets.safetensors"


def prior_targets_of(stage: Stage, here: Here) -> Made:
    """Whiten a prior's features of the training samples to the student's dimension, or its own.

    Whitening is fitted on those samples alone. The one pass over them is what targets cost.
    """
    setting, train = Setting(stage, here), Setting(stage, here).train
    prior = prior_at(setting, stage.settings["prior"], here.needs["prior"])
    size = min(prior.width, _width(setting, stage.settings["student"]))
    made = targets_of(
        prior, train.images, train.rows, size, stage.settings["base_digest"], cache=None
    )
    values = made.values[train.rows.to(made.values.device)]
    write_whole(here.folder / FILE, save({"values": values.cpu().contiguous()}))
    return Made(
        {"dimension": size, "samples": len(train.rows)}, {"targets": made.digest},
        looked=len(train.rows),
    )  # fmt: skip


def load_targets(folder: Path) -> Tensor:
    """Return the targets of a stage: float16 (n, d), in the order of the domain's rows."""
    return load_file(folder / FILE)["values"]


def _width(setting: Setting, backbone: str) -> int:
    _, channels, _, side = setting.train.images.shape
    return dimension(build(backbone, in_chans=channels, size=side, seed=0))
