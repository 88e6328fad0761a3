"""What one image costs a network: floating-point operations of a forward pass."""

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def forward_flops(encoder: nn.Module, shape: tuple[int, int, int]) -> float:
    """Return the floating-point operations of an encoder in evaluation mode on one image.

    `shape` is (C, H, W); a multiplication with its addition counts as two. Products of matrices,
    convolutions and attention count, as torch counts them; norms and activations do not. Attention
    is computed by plain products, so that all devices count alike. Random streams are left alone.
    """
    weight = next(encoder.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    images = torch.zeros(2, *shape, device=device)  # of one, some encoders squeeze
    cuda = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=cuda),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        encoder(images)
    return float(counter.get_total_flops()) / len(images)
