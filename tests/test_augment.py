"""Augmentation against torchvision, kornia and scipy, and against plain slices."""

import math

import kornia.enhance as kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torchvision.transforms.v2 import functional as oracle

from lotterybench.methods.base import augment
from lotterybench.methods.base.draws import Draws


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(images, seed=0, part=None):
    return Draws(noise(seed), len(images), part)


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
    images[3:20] = torch.round(images[3:20])  # ties of two channels
    turns = torch.linspace(-0.5, 0.5, len(images))
    want = [
        oracle.adjust_hue(image, turn.item()) for image, turn in zip(images, turns, strict=True)
    ]
    got = augment.hue(images, turns)
    torch.testing.assert_close(got, torch.stack(want), atol=1e-5, rtol=0)
    torch.testing.assert_close(got, kornia.adjust_hue(images, math.tau * turns), atol=1e-5, rtol=0)


def test_jitter_is_kornias_with_every_image_its_own_values():
    images = floats(count=64)[3:]
    each = [torch.rand(61, generator=noise(seed)) for seed in range(5)]
    bright, sharp, deep = (0.6 + 0.8 * values for values in each[:3])
    turn, greyed = each[3] - 0.5, each[4] < 0.5
    want = kornia.adjust_brightness_accumulative(images, bright)
    want = kornia.adjust_contrast_with_mean_subtraction(want, sharp)
    want = kornia.adjust_saturation_with_gray_subtraction(want, deep)
    want = kornia.adjust_hue(want, math.tau * turn)
    want = torch.where(greyed.view(-1, 1, 1, 1), oracle.rgb_to_grayscale(want, 3), want)
    got = augment.jitter(images, augment.Colours(bright, sharp, deep, turn, greyed)) / 4 + 0.5
    # kornia's luma has .299 for .2989, and hue tells a pixel's greatest channels apart
    assert (got - want).abs().mean() < 1e-4
    torch.testing.assert_close(got, want, atol=2e-3, rtol=0)


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
    many = image.repeat(2000, 1, 1, 1)
    got = augment.crop(many, pad=1, mirror=mirror, draws=draws(many))
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


def test_resized_crop_reads_between_pixels_as_scipy_does():
    images, side = floats(count=24, side=16).double(), 16
    sides = 0.3 + 0.7 * torch.rand(24, 2, generator=noise(1))
    centre = (1 - sides) * (2 * torch.rand(24, 2, generator=noise(2)) - 1)
    flips = torch.arange(24) % 3 == 0
    got = augment.resized_crop(images.float(), centre, sides, flips)
    cells = (2 * np.arange(side) + 1) / side - 1
    for image, (x, y), (wide, high), flip, view in zip(
        images, centre, sides, flips, got, strict=True
    ):
        across = x.item() + (-wide if flip else wide).item() * cells
        places = np.meshgrid(y.item() + high.item() * cells, across, indexing="ij")
        places = [(place + 1) * side / 2 - 0.5 for place in places]
        want = [map_coordinates(plane, places, order=1, mode="nearest") for plane in image.numpy()]
        np.testing.assert_allclose(view.numpy(), np.stack(want), atol=1e-5, rtol=0)


def test_resized_crop_is_torchs_affine_grid():
    images = floats(count=24)
    centre, sides = augment.boxes(draws(images), 0.2, views=1)
    flips = torch.arange(24) % 2 == 0
    affine = torch.zeros(24, 2, 3)
    affine[:, 0, 0], affine[:, 1, 1] = torch.where(flips, -1, 1) * sides[:, 0], sides[:, 1]
    affine[:, :, 2] = centre
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    want = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(
        augment.resized_crop(images, centre, sides, flips), want, atol=1e-5, rtol=0
    )


def test_boxes_are_torchvisions_but_for_sides_that_are_cut():
    """Areas, ratios and places of 20,000 boxes, of which none leaves the image."""
    centre, sides = augment.boxes(Draws(noise(), 10_000), 0.2)
    assert (centre.abs() + sides).max() <= 1 + 1e-6
    inside = (sides < 1).all(1)
    area, ratio = sides[inside].prod(1), (sides[:, 0] / sides[:, 1])[inside].log()
    assert area.min() >= 0.2 - 1e-6
    assert area[ratio.abs() < 0.05].mean() == pytest.approx(0.6, abs=0.02)  # none of these is cut
    assert ratio.abs().max() <= math.log(4 / 3) + 1e-6
    small = ratio[area < 0.5]
    assert small.mean() == pytest.approx(0, abs=0.01)
    assert small.std() == pytest.approx(2 * math.log(4 / 3) / 12**0.5, rel=0.03)
    place = centre[inside] / (1 - sides[inside])
    assert place.std() == pytest.approx(1 / 3**0.5, rel=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_two_views_differ_stay_in_range_and_repeat(channels):
    images = pixels(channels=channels)
    views = augment.two_views(images, mirror=True, draws=draws(images))
    assert views.shape == (64, channels, 16, 16)
    assert views.isfinite().all()
    assert views.abs().max() <= 2 + 1e-5
    again = augment.two_views(images, mirror=True, draws=draws(images))
    assert torch.equal(views, again)
    first, second = views[3:32], views[35:]
    assert ((first - second).abs().amax((1, 2, 3)) > 0.1).all()


def test_every_image_draws_its_own_colours():
    """A plain image shows them: one colour in, one colour out, as often changed as declared."""
    plain = torch.tensor([200, 120, 40], dtype=torch.uint8).view(1, 3, 1, 1).expand(4000, 3, 8, 8)
    views = augment.two_views(plain, mirror=False, draws=draws(plain))
    colours = views.mean((2, 3)) / 4 + 0.5
    assert (views.amax((2, 3)) - views.amin((2, 3))).max() < 1e-4
    grey = (colours.amax(1) - colours.amin(1)) < 1e-4
    assert grey.float().mean() == pytest.approx(0.2, abs=0.02)
    same = (colours - torch.tensor([200, 120, 40]) / 255).abs().amax(1) < 1e-4
    assert same.float().mean() == pytest.approx(0.2 * 0.8, abs=0.02)
    assert len(colours[~same & ~grey].unique(dim=0)) > 0.9 * 8000 * 0.64


@pytest.mark.parametrize("channels", [1, 3])
def test_views_without_strength_are_crops_some_of_them_grey(channels):
    images = pixels(channels=channels)
    views = augment.two_views(images, mirror=True, draws=draws(images), strength=0.0)
    again = draws(images)
    centre, sides = augment.boxes(again, 0.2)
    flips = again.chance(0.5, views=2)
    crops = augment.resized_crop(images.repeat(2, 1, 1, 1) / 255, centre, sides, flips)
    grey = oracle.rgb_to_grayscale(crops, 3) if channels == 3 else crops
    off = [((views / 4 + 0.5 - want).abs().amax((1, 2, 3)) < 2e-6) for want in (crops, grey)]
    assert (off[0] | off[1]).all()
    if channels == 3:
        assert 4 < (off[1] & ~off[0]).sum() < 24  # 20 % of 64


def test_only_second_views_are_solarised():
    images = pixels(count=400, side=8)
    plain, some, all_ = (
        augment.two_views(images, mirror=True, draws=draws(images), solarised=part)
        for part in (0.0, 0.2, 1.0)
    )
    assert torch.equal(some[:400], plain[:400])
    want = oracle.solarize(plain[400:] / 4 + 0.5, 0.5)
    torch.testing.assert_close(all_[400:] / 4 + 0.5, want, atol=1e-6, rtol=0)
    as_before = (some[400:] == plain[400:]).flatten(1).all(1)
    assert torch.equal(some[400:][~as_before], all_[400:][~as_before])
    assert as_before.float().mean() == pytest.approx(0.8, abs=0.06)


def test_one_view_is_a_crop():
    images = pixels()
    got = augment.one_view(images, mirror=True, draws=draws(images), smallest=0.5)
    again = draws(images)
    centre, sides = augment.boxes(again, 0.5, views=1)
    want = augment.resized_crop(images / 255, centre, sides, again.chance(0.5))
    torch.testing.assert_close(got / 4 + 0.5, want, atol=1e-6, rtol=0)
    assert got.shape == images.shape
    assert (sides.prod(1) >= 0.5 - 0.1).all()  # but for sides that are cut


@pytest.mark.parametrize("channels", [1, 3])
def test_a_part_of_a_batch_gets_the_views_it_gets_in_the_whole(channels):
    images = pixels(count=50, channels=channels)
    part = slice(13, 31)
    whole = augment.two_views(images, mirror=True, draws=draws(images), solarised=0.3)
    held = augment.two_views(
        images[part], mirror=True, draws=draws(images, part=part), solarised=0.3
    )
    torch.testing.assert_close(held, torch.cat((whole[:50][part], whole[50:][part])))
    crops = augment.crop(images, pad=2, mirror=True, draws=draws(images))
    held = augment.crop(images[part], pad=2, mirror=True, draws=draws(images, part=part))
    assert torch.equal(held, crops[part])


def test_views_do_not_depend_on_how_many_fit_the_cache(monkeypatch):
    images = pixels(count=50)
    want = augment.two_views(images, mirror=True, draws=draws(images))
    for cached in (1, 7 * 256, 2**30):
        monkeypatch.setattr(augment, "CACHED", cached)
        got = augment.two_views(images, mirror=True, draws=draws(images))
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_views_are_as_exact_where_networks_compute_in_bfloat16():
    images = pixels()
    want = augment.two_views(images, mirror=True, draws=draws(images))
    with torch.autocast("cpu", torch.bfloat16):
        got = augment.two_views(images, mirror=True, draws=draws(images))
    assert torch.equal(got, want)


class Unknown(Draws):
    """Draws of values that nobody knows, on a device that this machine need not have."""

    def uniform(self, low, high, *, views=1, before=1, after=1):
        shape = (before, views * self.whole, after)
        return torch.rand(shape, device="cuda").squeeze(2).squeeze(0)

    def integers(self, below, *, before=1):
        return torch.randint(below, (before, self.whole), device="cuda").squeeze(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_accelerator_is_never_waited_for(channels):
    """Tensors without values: whatever reads one, or has a shape that depends on one, raises."""
    with FakeTensorMode(allow_fallback_kernels=False):
        images = torch.zeros(8, channels, 16, 16, dtype=torch.uint8, device="cuda")
        unknown = Unknown(noise(), 8)
        for views in (
            augment.two_views(images, mirror=True, draws=unknown, solarised=0.5),
            augment.one_view(images, mirror=True, draws=unknown),
            augment.crop(images, pad=2, mirror=True, draws=unknown),
        ):
            assert views.device.type == "cuda"
            assert views.shape[1:] == images.shape[1:]
        with pytest.raises(DynamicOutputShapeException):
            images[unknown.chance(0.5)]


def test_no_global_randomness():
    before = torch.get_rng_state()
    images = pixels()
    augment.crop(images, pad=2, mirror=True, draws=draws(images))
    augment.two_views(images, mirror=True, draws=draws(images), solarised=0.5)
    assert torch.equal(before, torch.get_rng_state())
