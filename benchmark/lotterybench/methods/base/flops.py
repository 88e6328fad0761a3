"""What one image costs a network: floating-point operations of a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lotterybench.methods.base.stacked.backbones import PATCH
from lotterybench.methods.base.stacked.backbones import backbone as stacked_backbone


@torch.no_grad()
def forward_flops(encoder: nn.Module, shape: tuple[int, int, int]) -> float:
    """Return the floating-point operations of an encoder in evaluation mode on one image.

    `shape` is (C, H, W); a multiplication with its addition counts as two. Products of matrices,
    convolutions and attention count, norms and activations do not, as in torch's FlopCounterMode,
    which takes seconds to import. Random streams are left alone.
    """
    weight = next(encoder.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    images = torch.zeros(2, *shape, device=device)  # of one, some encoders squeeze
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), _Counter() as counter:
        encoder(images)
    return float(counter.total / len(images))


def stacked_flops(backbone: str, width: int | None, classes: int, side: int) -> int:
    """Return those of one of the small networks that are trained in stacks, on one image."""
    network = stacked_backbone(backbone)
    wide = network.width if width is None else width
    tokens = (side // PATCH) ** 2
    times = {"conv1": side**2, "conv2": (side // 2) ** 2, "tokens1": wide, "tokens2": wide}
    times |= dict.fromkeys(("patch", "attend", "project", "channels1", "channels2"), tokens)
    total = 0
    for name, weight in network.weights(classes, wide, side).items():
        layer, _, what = name.partition(".")
        if what == "weight":
            total += prod(weight.shape) * times.get(layer, 1)
    if backbone == "attention":
        total += 2 * tokens**2 * wide
    return 2 * total


class _Counter(TorchFunctionMode):
    """Adds up the operations of what is called while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.total: float = 0.0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in COUNTED:
            self.total += COUNTED[func](found, *args, **(kwargs or {}))
        return found


def _product(found: Tensor, one: Tensor, *rest: Any, **options: Any) -> float:
    return 2.0 * found.numel() * one.shape[-1]


def _added(found: Tensor, added: Tensor, one: Tensor, *rest: Any, **options: Any) -> float:
    return 2.0 * found.numel() * one.shape[-1]


def _convolution(
    found: Tensor, images: Tensor, weight: Tensor, *rest: Any, **options: Any
) -> float:
    return 2.0 * found.numel() * prod(weight.shape[1:])


def _attention(
    found: Tensor, queries: Tensor, keys: Tensor, values: Tensor, *rest: Any, **options: Any
) -> float:
    pairs = prod(queries.shape[:-1]) * keys.shape[-2]
    return 2.0 * pairs * (queries.shape[-1] + values.shape[-1])


COUNTED: dict[Callable[..., Any], Callable[..., float]] = {
    F.linear: _product,
    F.conv1d: _convolution,
    F.conv2d: _convolution,
    F.scaled_dot_product_attention: _attention,
    **dict.fromkeys(
        (torch.matmul, torch.bmm, torch.mm, Tensor.matmul, Tensor.__matmul__), _product
    ),
    **dict.fromkeys((torch.baddbmm, torch.addmm), _added),
}
