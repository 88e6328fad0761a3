"""Priors: networks whose representations become targets, made here or taken as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Generator, nn

from lotterybench.kinds.acceleration.probing import probed
from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.kinds.acceleration.teaching import learner_of, steps_of
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.encoders import save_encoder
from lotterybench.methods.base.loop import train
from lotterybench.methods.base.priors import Prior, features, find_prior
from lotterybench.methods.base.shape import stream
from lotterybench.studies.acceleration import Source

FILE = "prior.safetensors"


def prior_of(stage: Stage, here: Here) -> Made:
    """Make a prior, or find its model; tell what its own features are worth on the samples.

    Raises `BadRequest` for a model whose weights are not at hand.
    """
    setting = Setting(stage, here)
    source = Source(**stage.settings["prior"])
    images = steps = 0
    if source.how == "random":
        _keep(setting, source.backbone or "", _untrained(setting, source.backbone or ""))
    elif source.how == "trained":
        images, steps = _train(setting, stage)
    prior = prior_at(setting, stage.settings["prior"], here.folder)
    metrics = _judged(setting, prior) | {"width": prior.width}
    looked = len(setting.train.rows) + len(setting.test.rows)
    return Made(metrics, {"weights": prior.weights}, images=images, looked=looked, steps=steps)


def prior_at(setting: Setting, source: dict[str, Any], folder: Path) -> Prior:
    """Return the prior that a stage left in its folder, or the model that its record names.

    Raises `BadRequest` for a model whose weights cannot be had, or that cannot see the images.
    """
    named = Source(**source).model or f"ours:{folder / FILE}"
    _, channels, height, width = setting.train.images.shape
    return find_prior(named, (channels, height, width), device=setting.here.device)


def _untrained(setting: Setting, backbone: str) -> nn.Module:
    _, channels, _, side = setting.train.images.shape
    return build(backbone, in_chans=channels, size=side, seed=stream(setting.stage.key, "init"))


def _train(setting: Setting, stage: Stage) -> tuple[int, int]:
    """Train a prior on its own domain; return the images and steps that it took."""
    own = Setting(stage, setting.here, stage.settings["trained"])
    training, task = own.training(), own.task(own.data())
    trained = train(task, learner_of(training, task), own.engine())
    _keep(setting, training.backbone, trained.encoder)
    return trained.images_seen, steps_of(training, task.data.count)


def _keep(setting: Setting, backbone: str, encoder: nn.Module) -> None:
    _, channels, _, side = setting.train.images.shape
    about = {"backbone": backbone, "in_chans": channels, "size": side}
    save_encoder(encoder, setting.here.folder / FILE, {"encoder": json.dumps(about)})


def _judged(setting: Setting, prior: Prior) -> dict[str, float]:
    bank, queries = (
        (torch.cat(list(features(prior, images))), labels)
        for images, labels in (setting.train.first(), setting.test.first())
    )
    head = Generator(setting.train.images.device)
    head.manual_seed(stream(setting.stage.key, "probe"))
    return probed(bank, queries, setting.classes, head)
