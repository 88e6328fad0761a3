"""A network as a function of its prunable weights; the network itself stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lotterybench.errors import BadRequest

State = dict[str, Tensor]
Function = Callable[[Mapping[str, Tensor], Tensor], Tensor]


def held(network: nn.Module) -> State:
    """Return all parameters and buffers, what norms remember and a state_dict leaves out too."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def copied(network: nn.Module) -> State:
    """Return copies of all parameters and buffers."""
    return {name: value.detach().clone() for name, value in held(network).items()}


def places(network: nn.Module, weights: Mapping[str, nn.Parameter]) -> dict[str, str]:
    """Return the network's own name of each weight: an encoder's are other in a whole network.

    Raises `BadRequest` for a weight that is not the network's.
    """
    own = {id(parameter): name for name, parameter in network.named_parameters()}
    for name, weight in weights.items():
        if id(weight) not in own:
            raise BadRequest(f"{name} is no parameter of this {type(network).__name__}")
    return {name: own[id(weight)] for name, weight in weights.items()}


@contextmanager
def function_of(
    network: nn.Module, weights: Mapping[str, nn.Parameter], *, training: bool, state: State
) -> Iterator[Function]:
    """Give the map from values of `weights` and images to outputs, all else as in `state`.

    Norms use the batch's statistics if `training`, and update only those in `state`. Gradients
    are on inside; modules have their modes back at the end.
    """
    names = places(network, weights)
    modes = [(module, module.training) for module in network.modules()]

    def call(values: Mapping[str, Tensor], images: Tensor) -> Tensor:
        put = state | {names[name]: value for name, value in values.items()}
        found: Tensor = functional_call(network, put, (images,))
        return found

    network.train(training)
    try:
        with torch.enable_grad():
            yield call
    finally:
        for module, mode in modes:
            module.training = mode
