"""Training a network under masks from a given state, as every ticket study does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.kinds.stages.stage import Here
from lotterybench.methods import Learner, Schedule, Task, Trained, method
from lotterybench.methods.base.loop import Engine, train
from lotterybench.methods.base.observe import Observer
from lotterybench.methods.base.rates import Stepped
from lotterybench.pruning.criteria import magnitude
from lotterybench.pruning.enforcing import enforced
from lotterybench.pruning.functional import State, held
from lotterybench.pruning.keeping import keep, keep_in_each
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.prunable import Rules, prunable
from lotterybench.studies import Pruning, Recipe

HEAD = "@head."  # before the names of what is not the encoder's: no module has such a name


def learner_of(task: Task, recipe: Recipe) -> Learner:
    """Return the supervised learner of a recipe: plain cross-entropy, rates in steps."""
    learner = method["supervised"](
        task, epochs=recipe.epochs, lr=recipe.lr, backbone=recipe.backbone, batch=recipe.batch,
        smoothing=0.0, weight_decay=recipe.weight_decay, width=recipe.width,
        strength=recipe.strength,
    )  # fmt: skip
    assert isinstance(learner, Learner)
    return replace(learner, schedule=schedule_of(recipe))


def schedule_of(recipe: Recipe) -> Schedule:
    """Return how long and how fast a recipe learns."""
    rate = Stepped(recipe.epochs, tuple(recipe.milestones), recipe.factor, recipe.warm_up)
    return Schedule(
        recipe.epochs, recipe.lr, recipe.batch, recipe.optimiser, recipe.weight_decay, rate=rate
    )


def weights_of(encoder: nn.Module, pruning: Pruning) -> dict[str, nn.Parameter]:
    """Return the encoder's prunable weights by its own names."""
    return prunable(encoder, Rules(stem=pruning.stem, shortcuts=pruning.shortcuts))


def pruned(encoder: nn.Module, masks: Masks, pruning: Pruning, level: int) -> Masks:
    """Return the masks of a level, by the magnitude of an encoder's weights as they are now."""
    choose = keep_in_each if pruning.in_each else keep
    return choose(magnitude(weights_of(encoder, pruning)), pruning.density(level), within=masks)


def tensors_of(learner: Learner) -> dict[str, Tensor]:
    """Return every parameter and buffer: the encoder's by its own names, others as `head.…`."""
    own = {id(value): name for name, value in held(learner.encoder).items()}
    return {
        own.get(id(value), f"{HEAD}{name.split('.', 1)[-1]}"): value
        for name, value in held(learner.net).items()
    }


def state_of(learner: Learner) -> State:
    """Return a copy of a learner's tensors on the CPU."""
    return on_cpu(tensors_of(learner))


def on_cpu(tensors: Mapping[str, Tensor]) -> State:
    """Return a copy of tensors on the CPU, each contiguous."""
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }


@torch.no_grad()
def put(learner: Learner, state: Mapping[str, Tensor], *, head: bool = True) -> None:
    """Copy a state into a learner; without `head`, the encoder's part of it.

    Raises `BadRequest` where names or shapes are others.
    """
    here = tensors_of(learner)
    wanted = {name for name in here if head or not name.startswith(HEAD)}
    given = {name for name in state if head or not name.startswith(HEAD)}
    if wanted != given:
        odd = min(wanted ^ given)
        raise BadRequest(f"a state of another network: {odd} is in one of them only")
    for name in wanted:
        if here[name].shape != state[name].shape:
            raise BadRequest(
                f"{name} has the shape {tuple(here[name].shape)}, the state's "
                f"{tuple(state[name].shape)}"
            )
        here[name].copy_(state[name])


def train_under(
    task: Task,
    learner: Learner,
    masks: Masks,
    pruning: Pruning,
    here: Here,
    *,
    observers: Sequence[Observer] = (),
    begin: int = 0,
) -> Trained:
    """Train a learner as it stands, its pruned weights 0 throughout.

    The schedule's first `begin` epochs are left out. A training half done is kept in
    `here.checkpoint`.
    """
    learner = replace(learner, schedule=replace(learner.schedule, begin=begin))
    engine = Engine(
        precision="bf16" if here.device.startswith("cuda") else "fp32",
        checkpoint=here.checkpoint, every=here.every, observers=observers,
    )  # fmt: skip
    with enforced(weights_of(learner.encoder, pruning), masks):
        return train(task, learner, engine)


def steps_of(task: Task, recipe: Recipe, epochs: int) -> int:
    """Return the optimiser's steps in so many epochs of a task."""
    from lotterybench.methods.base.data import batch_sizes

    return epochs * len(batch_sizes(task.data.count, recipe.batch))
