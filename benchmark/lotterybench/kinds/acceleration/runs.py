"""One training of a study: with or without targets, and what its frozen features are worth."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from lotterybench.kinds.acceleration.probing import Looks, encoded, moments, probed
from lotterybench.kinds.acceleration.sampling import distinct, shown_to
from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.kinds.acceleration.targets import load_targets
from lotterybench.kinds.acceleration.teaching import learner_of, steps_of
from lotterybench.kinds.acceleration.tuning import chosen_rate
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.methods import Learner, Task
from lotterybench.methods.base.loop import train
from lotterybench.methods.base.rela import accelerated, mild_settings, shuffled, without_targets
from lotterybench.methods.base.shape import stream
from lotterybench.methods.base.switching import NEVER, Adaptive, AtEpoch, switch_step
from lotterybench.studies.acceleration import FORMS, Form, Training


def accelerated_of(stage: Stage, here: Here) -> Made:
    """Train an arm's network; probe it on all labels, and look at it on the way.

    `switch_step` is left out of the metrics of a training that never switched.
    """
    setting = Setting(stage, here)
    form, training = FORMS[stage.settings["arm"]], setting.training(chosen_rate(here.needs))
    data = shown_to(setting, form.data, stage.settings["budget"])
    task = setting.task(data)
    learner = arm_of(setting, form, training, task)
    looks = Looks(
        setting.train, setting.test, setting.classes,
        moments(training.epochs, stage.settings["looks"]), stage.settings["bank"],
        stage.settings["queries"],
    )  # fmt: skip
    trained = train(task, learner, setting.engine(looks))
    bank, queries = (encoded(trained.encoder, part) for part in (setting.train, setting.test))
    head = Generator(task.device).manual_seed(stream(stage.key, "probe"))
    metrics = probed(bank, queries, setting.classes, head) | looks.metrics()
    metrics |= {
        "lr": training.lr, "samples": len(setting.train.rows),
        "shown": distinct(data, training.epochs) / len(setting.train.rows),
    }  # fmt: skip
    if form.targets != "none" and (step := switch_step(learner)) is not None:
        metrics["switch_step"] = step
    return Made(
        metrics, images=trained.images_seen, looked=looks.images,
        steps=steps_of(training, data.count),
    )  # fmt: skip


def arm_of(setting: Setting, form: Form, training: Training, task: Task) -> Learner:
    """Return an arm's learner: the method alone, under mild views at first, or with targets."""
    inner = learner_of(training, task)
    share = AtEpoch(setting.settings["share"])
    if form.mild:
        mild = learner_of(training, task, **mild_settings(training.method))
        return without_targets(inner, mild, switch=share)
    if form.targets == "none":
        return inner
    switches: dict[str, Adaptive | AtEpoch] = {
        "share": share, "adaptive": Adaptive(), "never": NEVER,
    }  # fmt: skip
    return accelerated(
        task, inner, _targets(setting, form), switch=switches[form.switch],
        train_projection=form.trained_projection,
    )  # fmt: skip


def _targets(setting: Setting, form: Form) -> Tensor:
    """Return a target for each row of the base (N, d), 0 where none is trained on."""
    train = setting.train
    held = load_targets(setting.here.needs["targets"]).to(train.images.device)
    whole = torch.zeros(len(train.labels), held.shape[1], device=held.device)
    whole[train.rows] = held.float()
    if form.targets == "shuffled":
        return shuffled(whole, train.rows, stream(setting.stage.key, "shuffle"))
    return whole
