"""Masks found on a target, and tickets, their perturbations and dense networks trained on it."""

from __future__ import annotations

import torch

from lotterybench.errors import BadRequest
from lotterybench.kinds.pretrained.rewinding import digest_of, load_state, rewind
from lotterybench.kinds.pretrained.setting import NEXT, Setting
from lotterybench.kinds.pretrained.targets import Learnt
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.stages.training import (
    on_cpu,
    pruned,
    steps_of,
    train_under,
    weights_of,
)
from lotterybench.methods import Learner
from lotterybench.methods.base.shape import stream
from lotterybench.pruning.controls import permuted
from lotterybench.pruning.functional import held
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.perturbed import complement, flip, random_global, swap
from lotterybench.studies.pretrained import Variant


def downstream_round_of(stage: Stage, here: Here) -> Made:
    """Train on the target's mask-finding part from the pre-trained weights, and prune."""
    setting, level = Setting(stage, here), int(stage.settings["level"])
    made, learner, masks = _trained(setting, "finding", None)
    following = pruned(learner.encoder, masks, setting.pruning, level + 1)
    following.save(here.folder / NEXT)
    return Made(
        made.metrics, made.digests | {"next": following.digest}, made.images, steps=made.steps
    )


def downstream_of(stage: Stage, here: Here) -> Made:
    """Train a ticket on the target's downstream part, and judge it after the last epoch."""
    setting = Setting(stage, here)
    variant = stage.settings.get("variant")
    made, learner, _ = _trained(setting, "downstream", Variant(**variant) if variant else None)
    metrics = made.metrics | Learnt(setting, "downstream").judged(learner)
    return Made(metrics, made.digests, made.images, steps=made.steps)


def _trained(setting: Setting, part: str, variant: Variant | None) -> tuple[Made, Learner, Masks]:
    """Train from the pre-trained weights under the stage's masks, or a variant of them."""
    stage, here, target = setting.stage, setting.here, Learnt(setting, part)
    task, learner = target.ready(stage.settings["heads"], stage.settings["noise"])
    masks = setting.masks() or Masks.dense(weights_of(learner.encoder, setting.pruning))
    if variant is not None:
        noise = torch.Generator().manual_seed(stream(stage.key, "mask"))
        masks = perturbed(masks, variant, noise)
    start = rewind(learner, load_state(here.needs["weights"]), masks)
    trained = train_under(task, learner, masks, setting.pruning, here)
    metrics = {
        "kept": masks.remaining, "density": 1 - masks.sparsity, "loss": trained.curve[-1].loss,
    }  # fmt: skip
    digests = {
        "masks": masks.digest, "start": start, "final": digest_of(on_cpu(held(learner.encoder))),
    }  # fmt: skip
    steps = steps_of(task, target.target.recipe, len(trained.curve))
    return Made(metrics, digests, trained.images_seen, steps=steps), learner, masks


def perturbed(masks: Masks, variant: Variant, generator: torch.Generator) -> Masks:
    """Return a variant of masks; `generator` is on the CPU.

    Raises `BadRequest` for a complement of masks that keep more than half of the weights.
    """
    match variant.how:
        case "complement":
            return complement(masks, generator)
        case "random-global":
            return random_global(masks, generator)
        case "random-layerwise":
            return permuted(masks, generator)
        case "flip":
            return flip(masks, variant.part, generator)
        case "swap":
            return swap(masks, variant.part, generator)
    raise BadRequest(f"no mask is perturbed by {variant.how}")
