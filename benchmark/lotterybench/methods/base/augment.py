"""Augmentation of whole batches in which every image draws its own parameters.

torchvision's transforms draw once per call, so that a batch would share one crop; these draw per
image, from the generator they are given, with shapes that never depend on what was drawn.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def normalise(images: Tensor) -> Tensor:
    """Map uint8 pixels to floats in [-2, 2], as (x / 255 - 0.5) / 0.25.

    The constants are the same for all data, so that an encoder carries no statistics of the
    images it was trained on and is evaluated on any others alike.
    """
    return images.float().mul_(4 / 255).sub_(2)


# --- supervised: a shifted, perhaps mirrored image --------------------------------------------


def crop(images: Tensor, *, pad: int, mirror: bool, generator: torch.Generator) -> Tensor:
    """Shift every image by up to `pad` pixels each way, mirror half of them, and normalise.

    uint8 (n, C, H, W) to float (n, C, H, W); what moves in from outside is black.
    """
    count, device = len(images), images.device
    top, left = torch.randint(2 * pad + 1, (2, count), generator=generator, device=device)
    return normalise(crop_at(images, pad, top, left, _half(count, mirror, generator)))


def crop_at(images: Tensor, pad: int, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
    """Return each image's window at (`top`, `left`) of the padded image, mirrored where asked.

    `top` and `left` are int64 (n,) in 0..2·pad, `mirrored` is bool (n,).
    """
    count, channels, height, width = images.shape
    down = torch.arange(height, device=images.device)
    along = torch.arange(width, device=images.device)
    along = torch.where(mirrored[:, None], along.flip(0), along)
    row = (top[:, None] + down)[:, :, None]
    column = (left[:, None] + along)[:, None, :]
    place = (row * (width + 2 * pad) + column).view(count, 1, -1).expand(-1, channels, -1)
    return F.pad(images, (pad,) * 4).flatten(2).gather(2, place).view_as(images)


# --- SimCLR: two views ------------------------------------------------------------------------


def two_views(
    images: Tensor, *, mirror: bool, generator: torch.Generator, smallest: float = 0.2
) -> Tensor:
    """Return two random views of every image: float (2n, C, H, W), first all first views.

    uint8 (n, C, H, W) in. Random resized crop of `smallest` to all of the area, mirror, colour
    jitter .4/.4/.4/.1 with probability .8, grey with probability .2; without blur, as usual at
    32 pixels (Chen et al. 2020, appendix B.9). Images of one channel have no colour, so that of
    the jitter brightness and contrast remain. The jitter's order is fixed, where torchvision
    shuffles it.
    """
    views = images.repeat(2, 1, 1, 1).float().mul_(1 / 255)
    views = resized_crop(views, *_boxes(len(views), smallest, generator), generator, mirror)
    views = _jitter(views, generator)
    return views.sub_(0.5).mul_(4)


def resized_crop(
    images: Tensor,
    area: Tensor,
    ratio: Tensor,
    generator: torch.Generator,
    mirror: bool,
) -> Tensor:
    raise NotImplementedError
