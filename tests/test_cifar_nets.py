"""The nets of papers on lottery tickets: sizes, what may be pruned, and forward passes by hand."""

from functools import cache
from itertools import pairwise
from math import ceil

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from lotterybench.methods.base.architectures import ARCHITECTURES
from lotterybench.methods.base.backbones import MOMENTUM, build, dimension, grid
from lotterybench.methods.base.backbones.cifar import CIFAR
from lotterybench.pruning.prunable import Rules, prunable

VGG = {  # columns D and E of table 1 of Simonyan and Zisserman 2015
    "vgg16-bn": [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6,
    "vgg19-bn": [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8,
}
RESNETS = {"cifar-resnet20": 3, "cifar-resnet56": 9}  # n of He et al. 2016, §4.2


def net(name, **more):
    return build(name, **{"in_chans": 3, "size": 32, "seed": 0} | more)


plain = cache(net)  # for looking only


def stirred(name):
    """Return a network in evaluation mode whose norms have learnt something."""
    model, generator = net(name), torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean):
                values.add_(torch.randn(values.shape, generator=generator) / 4)
            module.running_var.mul_(1 + torch.rand(values.shape, generator=generator))
    return model.eval()


def images(count=3, size=32):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(2))


def of_resnet(n):
    """Return the weights of convolutions and those of norms: shortcuts have none (option A)."""
    convolutions = 3 * 16 + 2 * n * 16**2
    convolutions += 16 * 32 + (2 * n - 1) * 32**2 + 32 * 64 + (2 * n - 1) * 64**2
    return 9 * convolutions, 2 * ((2 * n + 1) * 16 + 2 * n * (32 + 64))


def of_vgg(channels):
    """Return the weights of convolutions, and those of norms with the convolutions' biases."""
    return sum(9 * a * b for a, b in pairwise([3, *channels])), 3 * sum(channels)


def of_resnet18():
    """Return the weights of convolutions, those of shortcuts among them, and those of norms."""
    halving = 64 * 128 + 128 * 256 + 256 * 512
    convolutions = 49 * 3 * 64 + 9 * (4 * 64**2 + 3 * (128**2 + 256**2 + 512**2) + halving)
    return convolutions + halving, 2 * 5 * (64 + 128 + 256 + 512)


SIZES = {
    # counts with a linear layer of 10 classes: millions as published, and exactly
    "cifar-resnet20": (of_resnet(3), 0.27, 269_722),
    "cifar-resnet56": (of_resnet(9), 0.85, 853_018),
    "resnet18-imagenet-stem": (of_resnet18(), 11.18, 11_181_642),
    "vgg16-bn": (of_vgg(VGG["vgg16-bn"]), 14.73, 14_728_266),
    "vgg19-bn": (of_vgg(VGG["vgg19-bn"]), 20.04, 20_040_522),
}


def test_each_net_is_tested():
    assert set(SIZES) == set(CIFAR) == set(VGG) | set(RESNETS) | {"resnet18-imagenet-stem"}


@pytest.mark.parametrize("name", SIZES)
def test_as_many_parameters_as_published(name):
    model, ((convolutions, others), millions, exactly) = plain(name), SIZES[name]
    assert sum(weight.numel() for weight in prunable(model).values()) == convolutions
    count = sum(weight.numel() for weight in model.parameters())
    assert count == convolutions + others
    assert count + 10 * dimension(model) + 10 == exactly
    assert round(exactly / 1e6, 2) == millions


@pytest.mark.parametrize("name", SIZES)
def test_every_convolution_may_be_pruned_but_what_rules_leave_out(name):
    model = plain(name)
    layers = [path for path, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    weighted = {"cifar-resnet20": 19, "cifar-resnet56": 55, "resnet18-imagenet-stem": 17 + 3}
    assert len(layers) == weighted.get(name, len(VGG.get(name, ())))
    whole = list(prunable(model))
    assert whole == [f"{path}.weight" for path in layers]
    assert list(prunable(model, Rules(stem=False))) == whole[1:]
    assert model.get_parameter(whole[0]).shape[1] == 3
    shortcuts = [n for n in whole if n not in prunable(model, Rules(shortcuts=False))]
    thin = [n for n in whole if model.get_parameter(n).shape[2:] == (1, 1)]
    assert shortcuts == thin
    assert len(shortcuts) == (3 if name == "resnet18-imagenet-stem" else 0)


@pytest.mark.parametrize("name", RESNETS)
def test_small_resnets_compute_what_the_paper_writes(name):
    model, found = stirred(name), images()
    state, modules = model.state_dict(), dict(model.named_modules())

    def convolved(grid, number, path, stride=1):
        grid = F.conv2d(grid, state[f"{path}conv{number}.weight"], stride=stride, padding=1)
        of = modules[f"{path}bn{number}"]
        return F.batch_norm(grid, of.running_mean, of.running_var, of.weight, of.bias)

    with torch.no_grad():
        x = convolved(found, 1, "").relu()
        for stage in (1, 2, 3):
            for block in range(RESNETS[name]):
                path, halves = f"layer{stage}.{block}.", stage > 1 and block == 0
                y = convolved(x, 1, path, 2 if halves else 1).relu()
                y = convolved(y, 2, path)
                if halves:  # identity on the middle channels, zeros on both sides
                    wide = torch.zeros_like(y)
                    wide[:, y.shape[1] // 4 : 3 * y.shape[1] // 4] = x[:, :, ::2, ::2]
                    x = wide
                x = (x + y).relu()
        torch.testing.assert_close(model.forward_features(found), x)
        torch.testing.assert_close(model(found), x.mean((2, 3)))


@pytest.mark.parametrize("name", VGG)
def test_vgg_is_timms_without_its_last_pooling_and_hidden_layers(name):
    with torch.device("meta"):  # its hidden layers alone are 120 M
        theirs = timm.create_model(name.replace("-", "_")).features[:-1]
    ours, found = stirred(name), images()
    theirs = theirs.to_empty(device="cpu").eval()
    theirs.load_state_dict(ours.features.state_dict())
    with torch.no_grad():
        wanted = theirs(found)
        assert wanted.shape == (3, 512, 2, 2)
        torch.testing.assert_close(ours.forward_features(found), wanted)
        torch.testing.assert_close(ours(found), wanted.mean((2, 3)))


def test_resnet18_with_the_imagenet_stem_is_timms_own():
    ours, theirs = stirred("resnet18-imagenet-stem"), timm.create_model("resnet18", num_classes=0)
    theirs.load_state_dict(ours.state_dict())
    found = images(size=64)
    with torch.no_grad():
        torch.testing.assert_close(ours(found), theirs.eval()(found))
    assert isinstance(ours.maxpool, nn.MaxPool2d) and ours.conv1.kernel_size == (7, 7)


@pytest.mark.parametrize("name", SIZES)
def test_no_branch_starts_at_zero_and_spreads_are_the_papers(name):
    model = plain(name)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.weight.eq(1).all() and norm.momentum == MOMENTUM for norm in norms)
    for layer in (module for module in model.modules() if isinstance(module, nn.Conv2d)):
        channels = layer.in_channels if name in RESNETS else layer.out_channels
        fan = channels * layer.kernel_size[0] ** 2
        assert layer.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.15)
        assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("name", SIZES)
def test_the_last_grid_of_16_to_64_pixels(name):
    model = plain(name)
    for size in (16, 28, 32, 64):
        side = {"cifar": size / 4, "vgg16": size // 16, "vgg19": size // 16}
        assert grid(model, 3, size) == side.get(name.split("-")[0], ceil(size / 32))
    assert dimension(model) == (64 if name in RESNETS else 512)
    assert ARCHITECTURES[name].smallest == 16


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("width", [1 / 8, 3 / 8, 1 / 2])
def test_narrow_nets_build(name, width):
    model = net(name, width=width)
    first = model.get_parameter(next(iter(prunable(model)))).shape[0]
    assert first == max(8, round((16 if name in RESNETS else 64) * width / 8) * 8)
    assert model(images(2)).shape == (2, dimension(model))
