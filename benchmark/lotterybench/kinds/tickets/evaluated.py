"""What a ticket is worth: trained on all samples from its rewinding point, and its controls."""

from __future__ import annotations

import torch
from safetensors.torch import save

from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.stages.training import (
    HEAD,
    learner_of,
    put,
    state_of,
    steps_of,
    train_under,
    weights_of,
)
from lotterybench.kinds.stages.watching import Best
from lotterybench.kinds.tickets.rounds import tested
from lotterybench.kinds.tickets.setting import Setting
from lotterybench.methods import Learner
from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.shape import stream
from lotterybench.pruning.controls import permuted
from lotterybench.pruning.criteria import grasp, magnitude, random, snip
from lotterybench.pruning.functional import State
from lotterybench.pruning.keeping import keep, keep_in_each
from lotterybench.pruning.levels import load_level
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.pruning.rounds import masked
from lotterybench.pruning.synflow import synflow
from lotterybench.storage import write_whole

SCORED = 128  # images that SNIP and GraSP look at


def ticket_of(stage: Stage, here: Here) -> Made:
    """Train a ticket, or a control of it, on all samples with the whole schedule.

    A control has the ticket's masks on new weights (`reinitialised`), or shuffled within each
    tensor (`permuted`).
    """
    setting = Setting(stage, here)
    masks, point = _ticket(here)
    learner = learner_of(setting.task(setting.split.train), setting.recipe)
    control: str = stage.settings["control"]
    if control == "permuted":
        masks = permuted(masks, torch.Generator().manual_seed(stream(stage.key, "mask")))
    if control != "reinitialised":
        put(learner, point)
    if not control:
        weights = masked({k: v for k, v in point.items() if not k.startswith(HEAD)}, masks)
        write_whole(here.folder / "weights.safetensors", save(weights))
    return evaluated(setting, learner, masks)


def _ticket(here: Here) -> tuple[Masks, State]:
    folder = here.needs["round"]
    point = load_level(folder / "level.safetensors").point
    return load_masks(folder / "next.safetensors"), point


def baseline_of(stage: Stage, here: Here) -> Made:
    """Prune a network once, before it is trained, and train it on all samples."""
    setting = Setting(stage, here)
    learner = learner_of(setting.task(setting.split.train), setting.recipe)
    masks = before_training(setting, learner, stage.settings["baseline"], stage.settings["level"])
    return evaluated(setting, learner, masks)


def before_training(setting: Setting, learner: Learner, how: str, level: int) -> Masks:
    """Return masks of a level's density, chosen at initialisation; the learner stays as it is."""
    pruning, weights = setting.pruning, weights_of(learner.encoder, setting.pruning)
    density = pruning.density(level)
    if how == "dense":
        return Masks.dense(weights)
    if how == "synflow":
        return synflow(learner.net, weights, tuple(setting.train[0].shape[1:]), density)
    if how in ("snip", "grasp"):
        rows = setting.rows(setting.split.train)
        noise = torch.Generator().manual_seed(stream(setting.stage.key, "mask"))
        some = rows[torch.randperm(len(rows), generator=noise)[:SCORED].to(rows.device)]
        images, labels = normalise(setting.train[0][some]), setting.train[1][some]
        scores = (snip if how == "snip" else grasp)(learner.net, weights, images, labels)
    elif how == "random":
        noise = torch.Generator().manual_seed(stream(setting.stage.key, "mask"))
        scores = random(weights, noise)
    else:
        scores = magnitude(weights)
    return (keep_in_each if pruning.in_each else keep)(scores, density)


def evaluated(setting: Setting, learner: Learner, masks: Masks) -> Made:
    """Train a learner under masks on all samples; return its accuracy at the best epoch."""
    recipe, task = setting.recipe, setting.task(setting.split.train)
    masks.apply(weights_of(learner.encoder, setting.pruning))
    best = Best(*setting.train, setting.rows(setting.split.validation))
    trained = train_under(task, learner, masks, setting.pruning, setting.here, observers=[best])
    masks.save(setting.here.folder / "masks.safetensors")
    metrics = {
        "kept": masks.remaining, "density": 1 - masks.sparsity, "validation": best.accuracy,
        "best-epoch": best.at + 1, **tested(setting, learner, best.kept, state_of(learner)),
    }  # fmt: skip
    steps = steps_of(task, recipe, len(trained.curve))
    return Made(
        metrics, {"masks": masks.digest}, images=trained.images_seen, looked=best.images,
        steps=steps,
    )  # fmt: skip
