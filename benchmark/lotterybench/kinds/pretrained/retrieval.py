"""Retrieval accuracy: how often a view's nearest neighbour is the other view of its image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lotterybench.kinds.stages.watching import LOOK
from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.draws import Draws


@torch.no_grad()
def retrieval(encoder: nn.Module, images: Tensor, mirror: bool, generator: Generator) -> float:
    """Return retrieval accuracy in per cent of uint8 images (n, C, H, W); the encoder evaluates.

    Each image has two random views as SimCLR has them; features are the encoder's, which heads
    that are thrown away do not change. `generator` is on the images' device.
    """
    views = two_views(images, mirror=mirror, draws=Draws(generator, len(images)))
    features = torch.cat([encoder(part) for part in torch.split(views, LOOK)])
    return paired_nearest(features)


def paired_nearest(features: Tensor) -> float:
    """Return in per cent how many of (2n, d) features have their pair nearest by cosine.

    The pair of row i is row i + n, and the other way round (Chen et al. 2021).
    """
    count = len(features) // 2
    along = F.normalize(features.float(), dim=1)
    alike = (along @ along.T).fill_diagonal_(-torch.inf)
    wanted = torch.arange(2 * count, device=features.device).roll(count)
    return 100 * float((alike.argmax(1) == wanted).double().mean())
