"""Augmentation against torchvision, one image at a time, and against plain slices."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as oracle

from lotterybench.methods.base import augment


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def pixels(count=32, channels=3, side=16):
    images = torch.randint(256, (count, channels, side, side), generator=noise(), dtype=torch.uint8)
    images[0] = 0  # black, white and grey have no hue
    images[1] = 255
    images[2] = images[2, :1]
    return images


def floats(**shape):
    return pixels(**shape).float() / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (augment.brightness, oracle.adjust_brightness),
        (augment.contrast, oracle.adjust_contrast),
        (augment.saturation, oracle.adjust_saturation),
    ],
)
def test_blends_are_torchvisions(ours, theirs, channels):
    images = floats(channels=channels)
    factors = torch.linspace(0, 2, len(images))
    want = [theirs(image, factor.item()) for image, factor in zip(images, factors, strict=True)]
    torch.testing.assert_close(ours(images, factors), torch.stack(want), atol=2e-6, rtol=0)


def test_hue_is_torchvisions():
    images = floats(count=64)
    turns = torch.linspace(-0.5, 0.5, len(images))
    want = [
        oracle.adjust_hue(image, turn.item()) for image, turn in zip(images, turns, strict=True)
    ]
    torch.testing.assert_close(augment.hue(images, turns), torch.stack(want), atol=1e-5, rtol=0)


def test_grey_is_torchvisions():
    images = floats()
    want = oracle.rgb_to_grayscale(images)
    torch.testing.assert_close(augment.grey(images), want, atol=1e-6, rtol=0)


def test_neutral_factors_change_nothing():
    images = floats()
    one = torch.ones(len(images))
    for blend in (augment.brightness, augment.contrast, augment.saturation):
        torch.testing.assert_close(blend(images, one), images, atol=1e-6, rtol=0)
    torch.testing.assert_close(augment.hue(images, 0 * one), images, atol=1e-6, rtol=0)


def test_crop_at_is_a_slice_of_the_padded_image():
    images, pad = pixels(count=50, side=8), 2
    places = torch.cartesian_prod(torch.arange(5), torch.arange(5), torch.arange(2))
    top, left, mirrored = places.T
    got = augment.crop_at(images, pad, top, left, mirrored.bool())
    for image, row, column, flip, window in zip(images, top, left, mirrored, got, strict=True):
        want = F.pad(image, (pad,) * 4)[:, row : row + 8, column : column + 8]
        assert torch.equal(window, want.flip(2) if flip else want)


@pytest.mark.parametrize("mirror", [True, False])
def test_crop_draws_every_shift_for_itself(mirror):
    image = pixels(count=4, side=8)[3:]
    got = augment.crop(image.repeat(2000, 1, 1, 1), pad=1, mirror=mirror, generator=noise())
    padded = F.pad(image[0], (1,) * 4)
    windows = [padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    windows += [window.flip(2) for window in windows] if mirror else []
    counts = torch.stack([(got == augment.normalise(w)).flatten(1).all(1).sum() for w in windows])
    assert counts.sum() == 2000
    expected = 2000 / len(windows)
    assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_normalise_ends_at_two():
    ends = augment.normalise(torch.tensor([0, 255], dtype=torch.uint8))
    torch.testing.assert_close(ends, torch.tensor([-2.0, 2.0]))


def test_resized_crop_of_the_whole_image_is_the_image():
    images = floats(count=4)
    middle, whole = torch.zeros(4, 2), torch.ones(4, 2)
    flips = torch.tensor([False, True, False, True])
    got = augment.resized_crop(images, middle, whole, flips)
    want = torch.where(flips.view(-1, 1, 1, 1), images.flip(3), images)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_resized_crop_is_an_enlarged_slice():
    images = floats(count=9, side=16)
    corners = torch.cartesian_prod(torch.arange(0, 9, 4), torch.arange(0, 9, 4))  # of 8 × 8 boxes
    centre = (corners + 4) / 8.0 - 1
    got = augment.resized_crop(
        images, centre, torch.full((9, 2), 0.5), torch.zeros(9, dtype=torch.bool)
    )
    for image, (x, y), view in zip(images, corners, got, strict=True):
        box = image[None, :, y : y + 8, x : x + 8]
        want = F.interpolate(box, size=16, mode="bilinear", align_corners=False)[0]
        # at its rim the box sees its neighbours, a slice does not
        torch.testing.assert_close(view[:, 1:-1, 1:-1], want[:, 1:-1, 1:-1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_two_views_differ_stay_in_range_and_repeat(channels):
    images = pixels(channels=channels)
    views = augment.two_views(images, mirror=True, generator=noise())
    assert views.shape == (64, channels, 16, 16)
    assert views.isfinite().all()
    assert views.abs().max() <= 2 + 1e-5
    again = augment.two_views(images, mirror=True, generator=noise())
    assert torch.equal(views, again)
    first, second = views[3:32], views[35:]
    assert ((first - second).abs().amax((1, 2, 3)) > 0.1).all()


def test_every_image_draws_its_own_colours():
    """A plain image shows them: one colour in, one colour out, as often changed as declared."""
    plain = torch.tensor([200, 120, 40], dtype=torch.uint8).view(1, 3, 1, 1).expand(4000, 3, 8, 8)
    views = augment.two_views(plain, mirror=False, generator=noise())
    colours = views.mean((2, 3)) / 4 + 0.5
    assert (views.amax((2, 3)) - views.amin((2, 3))).max() < 1e-4
    grey = (colours.amax(1) - colours.amin(1)) < 1e-4
    assert grey.float().mean() == pytest.approx(0.2, abs=0.02)
    same = (colours - torch.tensor([200, 120, 40]) / 255).abs().amax(1) < 1e-4
    assert same.float().mean() == pytest.approx(0.2 * 0.8, abs=0.02)
    assert len(colours[~same & ~grey].unique(dim=0)) > 0.9 * 8000 * 0.64


def test_no_global_randomness():
    before = torch.get_rng_state()
    augment.crop(pixels(), pad=2, mirror=True, generator=noise())
    augment.two_views(pixels(), mirror=True, generator=noise())
    assert torch.equal(before, torch.get_rng_state())
