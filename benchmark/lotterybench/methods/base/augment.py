"""Augmentation of whole batches in which every image draws its own parameters.

torchvision's transforms draw once per call, so that a batch would share one crop; these draw per
image, from the generator they are given, with shapes that never depend on what was drawn.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lotterybench.methods.base.draws import Draws

LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as in torchvision


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
    views = images.repeat(2, 1, 1, 1)
    centre, sides = boxes(draws, smallest)
    mirrored = draws.chance(0.5 if mirror else 0.0, views=2)
    views = resized_crop(views.float().mul_(1 / 255), centre, sides, mirrored)
    views = _jitter(views, draws, strength)
    if solarised:
        second = views[len(images) :]
        chosen = draws.chance(solarised)
        views = torch.cat((views[: len(images)], torch.where(_each(chosen), solar(second), second)))
    return views.sub_(0.5).mul_(4)


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
    affine = images.new_zeros(len(images), 2, 3)
    affine[:, 0, 0] = torch.where(mirrored, -sides[:, 0], sides[:, 0])
    affine[:, 1, 1] = sides[:, 1]
    affine[:, :, 2] = centre
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _jitter(images: Tensor, draws: Draws, strength: float) -> Tensor:
    """Jitter the colours of 80 % of the views and grey 20 % of them; floats in [0, 1]."""
    chosen = draws.chance(0.8, views=2)
    factor = draws.uniform(1 - 0.4 * strength, 1 + 0.4 * strength, views=2, before=3)
    factor = torch.where(chosen, factor, 1.0)
    images = brightness(images, factor[0])
    images = contrast(images, factor[1])
    if images.shape[1] == 1:
        return images
    images = saturation(images, factor[2])
    turn = draws.uniform(-0.1 * strength, 0.1 * strength, views=2)
    images = hue(images, torch.where(chosen, turn, 0.0))
    greyed = draws.chance(0.2, views=2)
    return torch.where(_each(greyed), grey(images), images)


def solar(images: Tensor) -> Tensor:
    """Invert what is brighter than half, of float images in [0, 1]."""
    return torch.where(images < 0.5, images, 1 - images)


def grey(images: Tensor) -> Tensor:
    """Return the luma of float images: (n, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    return torch.einsum("nchw,c->nhw", images, images.new_tensor(LUMA)).unsqueeze(1)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each image by its factor, within [0, 1]; `factor` is (n,), 1 changes nothing."""
    return (images * _each(factor)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move each image away from its mean luma by its factor, within [0, 1]."""
    mean = grey(images).mean(dim=(2, 3), keepdim=True)
    return torch.lerp(mean, images, _each(factor)).clamp_(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Move each pixel away from its own luma by the image's factor, within [0, 1]."""
    return torch.lerp(grey(images), images, _each(factor)).clamp_(0, 1)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of each RGB image in HSV by `turn` (n,), a part of the colour circle.

    Channel k of HSV's inverse is V − C·max(0, min(s, 4 − s, 1)) with s = k + H mod 6, for H in
    sixths of the circle and k = 5, 3, 1 for red, green and blue.
    """
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    scale = chroma.clamp(min=1e-12)  # grey pixels: 0 / scale, any hue will do
    sector = torch.where(
        value == red,
        (green - blue) / scale,
        torch.where(value == green, 2 + (blue - red) / scale, 4 + (red - green) / scale),
    )
    start = images.new_tensor((5, 3, 1)).view(1, 3, 1, 1)
    step = (start + (sector + 6 * turn.view(-1, 1, 1)).unsqueeze(1)).remainder_(6)
    fall = torch.minimum(step, 4 - step).clamp_(0, 1)
    return value.unsqueeze(1) - chroma.unsqueeze(1) * fall


def _each(values: Tensor) -> Tensor:
    """Shape one value per image for broadcasting over (n, C, H, W)."""
    return values.view(-1, 1, 1, 1)
