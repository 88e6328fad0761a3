"""Scores of weights, the higher the better: magnitude, chance, SNIP and GraSP.

SynFlow, which prunes as it scores, is `synflow` beside this.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lotterybench.pruning.functional import Function, copied, function_of
from lotterybench.pruning.keeping import Scores

# Wang et al.'s own code divides logits by it. Of untrained nets it levels the predictions.
TEMPERATURE = 200.0


def magnitude(weights: Mapping[str, Tensor]) -> Scores:
    """Score weights by |w| (Han et al. 2015).

    Of trained weights this is the lottery ticket's criterion; of those at initialisation it is
    "magnitude at init" (Frankle et al. 2021).
    """
    return {name: weight.detach().abs() for name, weight in weights.items()}


def random(weights: Mapping[str, Tensor], generator: Generator) -> Scores:
    """Score weights at random; `generator` is on the CPU.

    In float64: of a million float32 draws, 58,000 have a twin.
    """
    return {
        name: torch.rand(weight.shape, generator=generator, dtype=torch.float64)
        for name, weight in weights.items()
    }


def snip(
    network: nn.Module, weights: Mapping[str, nn.Parameter], images: Tensor, labels: Tensor
) -> Scores:
    """Score weights by |w · ∂L/∂w|, L the cross-entropy of a batch (Lee et al. 2019, SNIP).

    It is how fast L changes with the weight's mask. The paper's division by the sum of all scores
    changes no order and is left out. `network` maps images (n, c, h, w) to logits; `labels` are
    int64 (n,). Norms use the batch's statistics.
    """
    values = _leaves(weights)
    with function_of(network, weights, training=True, state=copied(network)) as call:
        loss = F.cross_entropy(call(values, images), labels)
        slopes = torch.autograd.grad(loss, list(values.values()), materialize_grads=True)
    return {
        name: (value.detach() * slope).abs()
        for (name, value), slope in zip(values.items(), slopes, strict=True)
    }


def grasp(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    images: Tensor,
    labels: Tensor,
    *,
    temperature: float = TEMPERATURE,
) -> Scores:
    """Score weights by w · (H g): what gradient flow gᵀg would lose (Wang et al. 2020, GraSP).

    g and H are the first two derivatives, by `weights`, of the cross-entropy of a batch whose
    logits are divided by `temperature`. The paper removes the highest −w · (H g) first. `network`,
    `images` and `labels` are as in `snip`. Norms use the batch's statistics.
    """
    values = _leaves(weights)
    with (
        function_of(network, weights, training=True, state=copied(network)) as call,
        sdpa_kernel(SDPBackend.MATH),  # the other kernels of attention have no second derivative
    ):
        products = _curved(call, values, images, labels, temperature)
    return {
        name: value.detach() * product
        for (name, value), product in zip(values.items(), products, strict=True)
    }


def _curved(
    call: Function, values: dict[str, Tensor], images: Tensor, labels: Tensor, temperature: float
) -> tuple[Tensor, ...]:
    """Return H g for each tensor of `values`."""
    inputs = list(values.values())
    loss = F.cross_entropy(call(values, images) / temperature, labels)
    slopes = torch.autograd.grad(loss, inputs, create_graph=True, materialize_grads=True)
    along = torch.stack([(slope.detach() * slope).sum() for slope in slopes]).sum()
    return torch.autograd.grad(along, inputs, materialize_grads=True)


def _leaves(weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
