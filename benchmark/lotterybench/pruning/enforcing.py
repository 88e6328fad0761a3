"""Pruned weights stay exactly 0 while a network trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lotterybench.pruning.masks import Masks


@contextmanager
def enforced(
    weights: Mapping[str, nn.Parameter],
    masks: Masks,
    optimizer: torch.optim.Optimizer | None = None,
) -> Iterator[None]:
    """Set pruned weights to 0, and keep them there, with gradients of 0, until the block ends.

    An optimiser made inside needs nothing more: weight, gradient and so every state of it are 0,
    and 0 decays to 0. One that was there before is to be given: what it remembers of pruned
    weights is cleared, and its steps are masked. Names and state_dict stay what they are
    (torch's `prune` and `parametrize` rename the parameter, and keep a hidden copy of its pruned
    weights that momentum and weight decay go on moving). Raises `BadRequest` for masks of other
    tensors.
    """
    masks.apply(weights)
    out = {name: ~mask.to(weights[name].device) for name, mask in masks.kept.items()}
    # on the gradient before it is accumulated: clipping and processes that share it see it masked
    hooks: list[Any] = [
        weights[name].register_hook(_silence(pruned))  # type: ignore[no-untyped-call]
        for name, pruned in out.items()
        if weights[name].requires_grad
    ]
    if optimizer is not None:
        _forget(optimizer, weights, out)
        hooks.append(optimizer.register_step_post_hook(lambda *_: masks.apply(weights)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _silence(pruned: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient.masked_fill(pruned, 0)


@torch.no_grad()
def _forget(
    optimizer: torch.optim.Optimizer, weights: Mapping[str, nn.Parameter], out: dict[str, Tensor]
) -> None:
    """Clear gradients of pruned weights, and the optimiser's state of them."""
    for name, pruned in out.items():
        weight = weights[name]
        held = [weight.grad, *optimizer.state.get(weight, {}).values()]
        for value in held:
            if isinstance(value, Tensor) and value.shape == weight.shape:
                value.masked_fill_(pruned, 0)
