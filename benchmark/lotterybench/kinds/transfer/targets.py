"""Training on a target: a ticket with a new head, or what it is compared with."""

from __future__ import annotations

import torch
from torch import nn

from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.stages.training import learner_of, put, steps_of, train_under, weights_of
from lotterybench.kinds.transfer.rounds import MASKS, ticket_in
from lotterybench.kinds.transfer.setting import Setting
from lotterybench.kinds.transfer.smaller import narrower
from lotterybench.methods import Learner, Task
from lotterybench.methods.base.shape import stream
from lotterybench.pruning.controls import permuted, random_masks
from lotterybench.pruning.functional import State
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.pruning.overlap import overlap
from lotterybench.studies import Recipe
from lotterybench.studies.transfer import Control


def transfer_of(stage: Stage, here: Here) -> Made:
    """Train a ticket on a target by the target's whole schedule."""
    setting = Setting(stage, here)
    task = setting.task(stage.settings["run"])
    learner = learner_of(task, setting.recipe)
    masks, point = ticket_in(here.needs)
    plant(learner, point)
    return trained(setting, task, learner, masks, setting.recipe)


def plant(learner: Learner, point: State) -> None:
    """Give a network the encoder of a rewinding point.

    Its head stays as it was drawn, and norms forget what they had seen: their running statistics
    go back to means of 0 and variances of 1, their scales and shifts are the point's.
    """
    put(learner, point, head=False)
    for module in learner.encoder.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.reset_running_stats()


def control_of(stage: Stage, here: Here) -> Made:
    """Train what a ticket is compared with: new weights under other masks, or another network."""
    setting = Setting(stage, here)
    task, name = setting.task(stage.settings["run"]), stage.settings["control"]
    recipe, extra = setting.recipe, {}
    if name == "small":
        wanted = setting.pruning.density(stage.settings["level"])
        width, weights = narrower(recipe, task.data.shape, setting.pruning, wanted)
        recipe = recipe.model_copy(update={"width": width})
        extra = {"width": width, "weights": float(weights)}
    learner = learner_of(task, recipe)
    masks = load_masks(here.needs["round"] / MASKS) if "round" in here.needs else None
    if masks is not None:
        noise = torch.Generator().manual_seed(stream(stage.key, "mask"))
        masks = control_masks(name, masks, learner, setting, noise)
    return trained(setting, task, learner, masks, recipe, extra)


def control_masks(
    name: Control, native: Masks, learner: Learner, setting: Setting, noise: torch.Generator
) -> Masks:
    """Return a control's masks, made of the native ticket's.

    `permuted` shuffles them within each tensor, `shuffled` over all; `random` draws new ones of
    each tensor's density, so that it differs from `permuted` by its draw alone.
    """
    if name == "permuted":
        return permuted(native, noise)
    if name == "shuffled":
        return shuffled(native, noise)
    if name == "random":
        weights = weights_of(learner.encoder, setting.pruning)
        return random_masks(weights, native.densities, noise)
    return native


def shuffled(masks: Masks, noise: torch.Generator) -> Masks:
    """Shuffle masks over all tensors: as many weights are kept in all, not in each."""
    flat = torch.cat([mask.reshape(-1) for mask in masks.kept.values()])
    flat = flat[torch.randperm(len(flat), generator=noise)]
    parts = torch.split(flat, [mask.numel() for mask in masks.kept.values()])
    kept = zip(masks.kept.items(), parts, strict=True)
    return Masks({name: part.reshape(mask.shape) for (name, mask), part in kept})


def trained(
    setting: Setting, task: Task, learner: Learner, masks: Masks | None, recipe: Recipe,
    extra: dict[str, float] | None = None,
) -> Made:  # fmt: skip
    """Train a network under masks (None: dense); return its test accuracy at the last epoch.

    `collapsed` counts tensors that have no weight left.
    """
    here, pruning = setting.here, setting.pruning
    masks = masks or Masks.dense(weights_of(learner.encoder, pruning))
    found = train_under(task, learner, masks, pruning, here)
    accuracy, looked = setting.tested(learner)
    collapsed = sum(count == 0 for count in masks.counts.values())
    metrics = {
        "test": accuracy, "kept": masks.remaining, "density": 1 - masks.sparsity,
        "collapsed": collapsed, "samples": task.data.count, **(extra or {}),
    }  # fmt: skip
    return Made(
        metrics, {"masks": masks.digest}, images=found.images_seen, looked=looked,
        steps=steps_of(task, recipe, len(found.curve)),
    )  # fmt: skip


def overlap_of(stage: Stage, here: Here) -> Made:
    """Compare two tickets' masks with each other and with chance; what is undefined is left out."""
    first, second = (load_masks(here.needs[role] / MASKS) for role in ("first", "second"))
    found = overlap(first, second)._asdict()
    digests = {"first": first.digest, "second": second.digest}
    return Made({name: value for name, value in found.items() if value is not None}, digests)
