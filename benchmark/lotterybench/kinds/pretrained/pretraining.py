"""Pre-training, and magnitude pruning in rounds on the pre-training task itself."""

from __future__ import annotations

from dataclasses import replace

import torch

from lotterybench.kinds.pretrained.parts import everything
from lotterybench.kinds.pretrained.retrieval import retrieval
from lotterybench.kinds.pretrained.rewinding import (
    digest_of,
    load_state,
    rewind,
    save_state,
)
from lotterybench.kinds.pretrained.setting import NEXT, Setting
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.stages.training import on_cpu, pruned, train_under, weights_of
from lotterybench.kinds.stages.watching import accuracy
from lotterybench.methods import Learner, Schedule, Task, Trained, method
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.data import batch_sizes
from lotterybench.methods.base.loop import Engine, train
from lotterybench.methods.base.rates import Stepped
from lotterybench.methods.base.shape import stream
from lotterybench.pruning.functional import State, held
from lotterybench.pruning.masks import Masks
from lotterybench.studies.pretrained import Pretraining, Rounds


def pretraining_of(stage: Stage, here: Here) -> Made:
    """Train a method on its part, and keep the encoder: the point that all goes back to."""
    setting, how = Setting(stage, here), _how(stage)
    task = setting.task(setting.data("pretraining"), stage.key)
    engine = Engine(
        precision="bf16" if here.device.startswith("cuda") else "fp32",
        checkpoint=here.checkpoint, every=here.every,
    )  # fmt: skip
    made = method[how.method](task, backbone=stage.settings["backbone"], **how.settings)
    trained = train(task, made, engine)
    state = on_cpu(held(trained.encoder))
    save_state(state, here.folder)
    steps = _steps(task, made, len(trained.curve))
    metrics = judged(setting, trained)
    return Made(metrics, {"weights": digest_of(state)}, images=trained.images_seen, steps=steps)


def pretask_round_of(stage: Stage, here: Here) -> Made:
    """Train from the pre-trained weights under the masks of a level, and make those of the next.

    Level 0 trains nothing: the first masks are of the pre-trained weights as they are.
    """
    setting, level = Setting(stage, here), int(stage.settings["level"])
    point = load_state(here.needs["weights"])
    if level == 0:
        encoder = encoder_of(setting, point)
        dense = Masks.dense(weights_of(encoder, setting.pruning))
        return _left(setting, encoder, dense, Made())
    learner = learner_of(setting, _how(stage), stage.settings["heads"])
    masks = setting.masks()
    assert masks is not None
    start = rewind(learner, point, masks)
    task = setting.task(setting.data("finding"), stage.key)
    trained = train_under(task, learner, masks, setting.pruning, here)
    made = Made(
        judged(setting, trained), {"start": start, "masks": masks.digest},
        images=trained.images_seen, steps=_steps(task, learner, len(trained.curve)),
    )  # fmt: skip
    return _left(setting, learner.encoder, masks, made)


def learner_of(setting: Setting, how: Pretraining, heads: str) -> Learner:
    """Return a method made ready for a round, its heads from the noise of `heads`.

    The same heads begin every round of a seed.
    """
    assert how.rounds is not None
    task = setting.task(setting.data("finding"), heads)
    made = method[how.method](task, backbone=setting.settings["backbone"], **how.settings)
    assert isinstance(made, Learner)
    return replace(made, schedule=fixed(how.rounds))


def fixed(rounds: Rounds) -> Schedule:
    """Return the schedule of rounds: one rate throughout, a new optimiser each time."""
    return Schedule(
        rounds.epochs, rounds.lr, rounds.batch, "momentum", rounds.weight_decay,
        rate=Stepped(rounds.epochs, ()),
    )  # fmt: skip


def judged(setting: Setting, trained: Trained) -> dict[str, float]:
    """Return retrieval accuracy on test images, and accuracy where there is a classifier."""
    images, labels = setting.test
    generator = torch.Generator(images.device).manual_seed(stream(setting.stage.key, "views"))
    some = images[: setting.settings["retrieved"]]  # in the order of keys, which is random
    found = {"retrieval": retrieval(trained.encoder.eval(), some, setting.base.mirror, generator)}
    if trained.classifier is not None:
        rows = everything(labels)
        found["accuracy"] = accuracy(trained.encoder, trained.classifier, images, labels, rows)
    return found


def encoder_of(setting: Setting, point: State) -> torch.nn.Module:
    """Return an encoder with a state's weights, on the CPU."""
    _, channels, _, side = setting.train[0].shape
    encoder = build(setting.settings["backbone"], in_chans=channels, size=side, seed=0)
    encoder.load_state_dict(point)
    return encoder


def _left(setting: Setting, encoder: torch.nn.Module, masks: Masks, made: Made) -> Made:
    """Write the masks of the next level, if there is one, and tell of them."""
    level, pruning = int(setting.settings["level"]), setting.pruning
    metrics = made.metrics | {"kept": masks.remaining, "density": 1 - masks.sparsity}
    if level == pruning.rounds:
        return replace(made, metrics=metrics)
    following = pruned(encoder, masks, pruning, level + 1)
    following.save(setting.here.folder / NEXT)
    return replace(made, metrics=metrics, digests=made.digests | {"next": following.digest})


def _how(stage: Stage) -> Pretraining:
    return Pretraining(**stage.settings["pretraining"])


def _steps(task: Task, made: Learner | Trained, epochs: int) -> int:
    if isinstance(made, Trained):
        return 0
    return epochs * len(batch_sizes(task.data.count, made.schedule.batch))
