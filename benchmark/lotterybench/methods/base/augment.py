"""Augmentation of whole batches in which every image draws its own parameters.

torchvision's transforms draw once per call, so that a batch would share one crop; these draw per
image, from the generator they are given, with shapes that never depend on what was drawn.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lotterybench.methods.base.draws import Draws

LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as in torchvision
# A CPU makes views this many pixels at a time (64 views of 32 × 32), so that what one operation
# leaves is in the core's cache for the next: 1.2 times as fast as a batch of 256 at once.
CACHED = 2**16


class Colours(NamedTuple):
    """How the colours of each view change, one value a view: (n,), in the order of their use."""

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    greyed: Tensor


def normalise(images: Tensor) -> Tensor:
    """Map uint8 pixels to floats in [-2, 2], as (x / 255 - 0.5) / 0.25.

    The constants are the same for all data, so that an encoder carries no statistics of the
    images it was trained on and reads any others alike.
    """
    return images.float().mul_(4 / 255).sub_(2)


def crop(images: Tensor, *, pad: int, mirror: bool, draws: Draws) -> Tensor:
    """Shift every image by up to `pad` pixels each way, mirror half of them, and normalise.

    uint8 (n, C, H, W) to float (n, C, H, W); what moves in from outside is black.
    """
    top, left = draws.integers(2 * pad + 1, before=2)
    mirrored = draws.chance(0.5 if mirror else 0.0)
    return normalise(crop_at(images, pad, top, left, mirrored))


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


def two_views(
    images: Tensor,
    *,
    mirror: bool,
    draws: Draws,
    smallest: float = 0.2,
    strength: float = 1.0,
    solarised: float = 0.0,
) -> Tensor:
    """Return two random views of every image, all first views before all second ones.

    uint8 (n, C, H, W) to normalised float (2n, C, H, W). Random resized crop of `smallest` to all
    of the area, mirror, colour jitter .4/.4/.4/.1 times `strength` with probability .8, grey with
    probability .2, no blur: the CIFAR recipe of Chen et al. 2020, appendix B.9, but for its least
    area. Of second views a part `solarised` is solarised, as in BYOL's (Grill et al. 2020).
    One-channel images have no colour: of the jitter, brightness and contrast remain. Its order is
    fixed, where torchvision shuffles it; a side that would leave the image is cut, not drawn again.
    """
    count = len(images)
    centre, sides = boxes(draws, smallest)
    mirrored = draws.chance(0.5 if mirror else 0.0, views=2)
    colours = _colours(draws, strength, channels=images.shape[1])
    inverted = draws.chance(solarised) if solarised else None
    twice = torch.cat((images, images))
    views = torch.empty(twice.shape, device=images.device)
    for part in _parts(twice):
        pixels = twice[part].float().mul_(1 / 255)
        pixels = resized_crop(pixels, centre[part], sides[part], mirrored[part])
        views[part] = jitter(pixels, Colours(*(each[part] for each in colours)))
    if inverted is not None:
        second = views[count:]
        second.copy_(torch.where(_each(inverted), solar(second), second))
    return views


def _parts(images: Tensor) -> Iterator[slice]:
    """Split images into parts of which each fits a CPU's cache."""
    count, _, height, width = images.shape
    size = max(1, CACHED // (height * width)) if images.device.type == "cpu" else count
    return (slice(start, start + size) for start in range(0, count, size))


def boxes(draws: Draws, smallest: float, views: int = 2) -> tuple[Tensor, Tensor]:
    """Draw crop boxes: centre and sides (views · n, 2), as `resized_crop` takes them.

    Areas are uniform from `smallest` to 1, ratios log-uniform from 3/4 to 4/3.
    """
    area = draws.uniform(smallest, 1, views=views)
    ratio = draws.uniform(math.log(3 / 4), math.log(4 / 3), views=views).exp()
    sides = torch.stack(((area * ratio).sqrt(), (area / ratio).sqrt()), dim=1).clamp(max=1)
    return (1 - sides) * draws.uniform(-1, 1, views=views, after=2), sides


def one_view(images: Tensor, *, mirror: bool, draws: Draws, smallest: float = 0.2) -> Tensor:
    """Return a random resized crop of every image, mirrored or not, normalised; no colours change.

    The augmentation of MAE (He et al. 2022, appendix A.1).
    """
    centre, sides = boxes(draws, smallest, views=1)
    mirrored = draws.chance(0.5 if mirror else 0.0)
    return resized_crop(images.float().mul_(1 / 255), centre, sides, mirrored).sub_(0.5).mul_(4)


def resized_crop(images: Tensor, centre: Tensor, sides: Tensor, mirrored: Tensor) -> Tensor:
    """Stretch a box of each image to the image's size, bilinearly; mirror where asked.

    `centre` and `sides` are float (n, 2), horizontal before vertical, in units of half the image
    from its middle (so centre 0, sides 1 is the whole image); `mirrored` is bool (n,).
    """
    height, width = images.shape[2:]
    across = torch.where(mirrored, -sides[:, 0], sides[:, 0])
    x = across[:, None] * _middles(width, images) + centre[:, :1]
    y = sides[:, 1:] * _middles(height, images) + centre[:, 1:]
    # F.affine_grid's numbers, which it would round to bfloat16 where the engine computes in that
    x, y = x[:, None].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)
    grid = torch.stack((x, y), dim=3)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _middles(side: int, like: Tensor) -> Tensor:
    """Return where the middles of `side` pixels lie, in units of half the image from its own."""
    return torch.linspace(-1, 1, side, device=like.device) * (side - 1) / side


def _colours(draws: Draws, strength: float, channels: int) -> Colours:
    """Draw how the colours of two views change; one-channel images have neither hue nor grey."""
    chosen = draws.chance(0.8, views=2)
    factor = draws.uniform(1 - 0.4 * strength, 1 + 0.4 * strength, views=2, before=3)
    bright, sharp, deep = torch.where(chosen, factor, 1.0).unbind()
    if channels == 1:
        return Colours(bright, sharp, deep, torch.zeros_like(bright), torch.zeros_like(chosen))
    turn = draws.uniform(-0.1 * strength, 0.1 * strength, views=2)
    turn, greyed = torch.where(chosen, turn, 0.0), draws.chance(0.2, views=2)
    return Colours(bright, sharp, deep, turn, greyed)


def jitter(images: Tensor, colours: Colours) -> Tensor:
    """Change the colours of float images in [0, 1] and normalise them."""
    images = brightness(images, colours.brightness)
    images = contrast(images, colours.contrast)
    if images.shape[1] == 1:
        return images.sub_(0.5).mul_(4)
    images = hue(saturation(images, colours.saturation), colours.hue)
    share = _each(torch.where(colours.greyed, 4.0, 0.0))  # of grey, in units of a normalised pixel
    return (images * (4 - share)).add_(grey(images).mul_(share).sub_(2))


def solar(images: Tensor) -> Tensor:
    """Invert what is brighter than half, which in normalised images is what is above 0."""
    return images.abs().neg_()


def grey(images: Tensor) -> Tensor:
    """Return the luma of float images: (n, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    luma = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    return luma.unsqueeze(1)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each image by its factor, within [0, 1]; `factor` is (n,), 1 changes nothing."""
    return (images * _each(factor)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move each image away from its mean luma by its factor, within [0, 1]."""
    mean = grey(images.mean(dim=(2, 3), keepdim=True))
    mean = mean.expand_as(images[:, :1]).contiguous()  # 4 times as fast as lerp with one value
    return torch.lerp(mean, images, _each(factor)).clamp_(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Move each pixel away from its own luma by the image's factor, within [0, 1]."""
    return torch.lerp(grey(images), images, _each(factor)).clamp_(0, 1)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of each RGB image in HSV by `turn` (n,), a part of the colour circle.

    In sixths of the circle, a pixel is 1 + (green + blue − red − least) / chroma from red, on
    green's side where green ≥ blue. `away` is how far it is from each channel's opposite, and a
    channel is least + chroma · min(max(away − 1, 0), 1).
    """
    red, green, blue = images.unbind(1)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = torch.maximum(torch.maximum(red, green), blue).sub_(least)
    angle = (green + blue).sub_(red).sub_(least)
    angle.div_(chroma.clamp(min=1e-12)).add_(1)  # grey pixels: 0 / 1e-12, any hue will do
    angle.copysign_(green - blue).add_(6 * turn.view(-1, 1, 1))
    angle.sub_((angle * (1 / 6)).round_(), alpha=6)  # back to -3 … 3
    away = torch.stack((3 - angle.abs(), (angle + 1).abs_(), (angle - 1).abs_()), dim=1)
    base = (least - chroma).unsqueeze(1)
    return torch.addcmul(base, away.clamp_(1, 2), chroma.unsqueeze(1))


def _each(values: Tensor) -> Tensor:
    """Shape one value per image for broadcasting over (n, C, H, W)."""
    return values.view(-1, 1, 1, 1)
