"""SynFlow: masks without data that starve no layer (Tanaka et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.pruning.functional import State, copied, function_of
from lotterybench.pruning.keeping import Scores, checked_density, keep
from lotterybench.pruning.masks import Masks

ROUNDS = 100  # of the paper
# Their outputs do not grow with their inputs: the flow, and so every score behind them, is 0.
LEVELLING = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.InstanceNorm2d)


def synflow(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    shape: tuple[int, ...],
    density: float,
    *,
    rounds: int = ROUNDS,
) -> Masks:
    """Keep exactly round(density · total) weights, in `rounds` steps of equal ratios.

    Of the k-th step of n, density^(k/n) are left, by the scores of what is left. `shape` is that
    of one image, (c, h, w). Raises `BadRequest` for no rounds, and for a network as in
    `synflow_scores`.
    """
    if rounds < 1:
        raise BadRequest(f"{rounds} rounds of SynFlow; take at least 1")
    checked_density(density)
    masks = Masks.dense(weights)
    for done in range(1, rounds + 1):
        scores = synflow_scores(network, weights, shape, masks)
        masks = keep(scores, density ** (done / rounds), within=masks)
    return masks


def synflow_scores(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    shape: tuple[int, ...],
    masks: Masks | None = None,
) -> Scores:
    """Score weights by |w| · ∂R/∂|w|, R the sum of outputs for an image of ones.

    Everything in the network is taken in absolute value and float64, norms use what they
    remember, and weights that `masks` prunes are 0. Raises `BadRequest` for a network with layer,
    group, instance or RMS norms, which let no flow through.
    """
    _refuse_levelling(network)
    values = {name: weight.detach().double().abs() for name, weight in weights.items()}
    if masks is not None:
        masks.apply(values)
    for value in values.values():
        value.requires_grad_()
    with function_of(network, weights, training=False, state=_linear(network)) as call:
        device = next(iter(values.values())).device
        flow = call(values, torch.ones(1, *shape, dtype=torch.float64, device=device)).sum()
        slopes = torch.autograd.grad(flow, list(values.values()), materialize_grads=True)
    return {
        name: value.detach() * slope
        for (name, value), slope in zip(values.items(), slopes, strict=True)
    }


def _linear(network: nn.Module) -> State:
    """Return the state in absolute values, floats in float64: inputs ≥ 0 pass a ReLU unchanged."""
    return {name: _positive(value) for name, value in copied(network).items()}


def _positive(value: Tensor) -> Tensor:
    return value.double().abs() if value.is_floating_point() else value


def _refuse_levelling(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, LEVELLING):
            raise BadRequest(
                f"SynFlow takes networks with batch norm or none; {name} is a "
                f"{type(module).__name__}, which lets no flow through"
            )
