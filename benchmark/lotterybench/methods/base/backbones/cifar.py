"""The nets that papers on lottery tickets train on CIFAR and Tiny-ImageNet, with the papers' stems.

After the code of PrAC (Zhang et al. 2021) and of a replication of One Ticket (Morcos et al. 2019).
CV-LTH (Chen et al. 2021) trains a ResNet-50 there, with the stem of `named`'s.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch.nn.functional as F
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from lotterybench.methods.base.backbones.small import scaled

VGG_CHANNELS = (64, 128, 256, 512, 512)


class PaddedShortcut(nn.Module):
    """Option A of He et al. 2016: every other pixel, between two halves of as many zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.each = channels // 2

    def forward(self, grid: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, 2c, h/2, w/2)."""
        return F.pad(grid[:, :, ::2, ::2], (0, 0, 0, 0, self.each, self.each))


class VGG(nn.Module):
    """Convolutions with batch norm after Simonyan and Zisserman 2015, and the mean of their grid.

    Pooling halves between the stages and not after the last; there are no hidden linear layers.
    Layers are named and start as timm's and torchvision's, which cannot be told to leave those out.
    """

    def __init__(self, in_chans: int, depths: tuple[int, ...], channels: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for depth, out in zip(depths, channels, strict=True):
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(depth):
                convolution = nn.Conv2d(in_chans, out, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, convolution.bias))
                layers += [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
                in_chans = out
        self.features = nn.Sequential(*layers)
        self.head_hidden_size = in_chans

    def forward_features(self, images: Tensor) -> Tensor:
        """Map (n, in_chans, h, w) to the last grid, (n, d, h/16, w/16)."""
        return cast(Tensor, self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, in_chans, h, w) to features (n, d)."""
        return self.forward_features(images).mean((2, 3))


def _vgg(depths: tuple[int, ...], in_chans: int, size: int, width: float) -> nn.Module:
    return VGG(in_chans, depths, tuple(scaled(channels, width) for channels in VGG_CHANNELS))


def _resnet(stem: nn.Conv2d, depths: tuple[int, ...]) -> Any:
    """timm's stem has 64 channels at any width, hence it and the first block are remade."""
    first = stem.out_channels
    block: Any = BasicBlock  # timm's annotation asks for an instance
    model: Any = ResNet(
        block,
        depths,
        num_classes=0,
        in_chans=stem.in_channels,
        channels=tuple(first * 2**stage for stage in range(len(depths))),
        zero_init_last=False,  # as in the papers' code
    )
    model.conv1, model.bn1 = stem, nn.BatchNorm2d(first)
    model.layer1[0] = block(first, first)
    model.init_weights(zero_init_last=False)
    return model


def _resnet18(in_chans: int, size: int, width: float) -> nn.Module:
    """He et al. 2016, table 1: a stem of 7 × 7 and a max pooling leave a quarter of the side."""
    stem = nn.Conv2d(in_chans, scaled(64, width), 7, stride=2, padding=3, bias=False)
    return cast(nn.Module, _resnet(stem, (2, 2, 2, 2)))


def _cifar_resnet(depth: int, in_chans: int, size: int, width: float) -> nn.Module:
    """He et al. 2016, §4.2, with n = `depth`; weights start by the fan in, as in PrAC's code."""
    first = scaled(16, width)
    stem = nn.Conv2d(in_chans, first, 3, padding=1, bias=False)
    model = _resnet(stem, (depth,) * 3)
    model.maxpool = nn.Identity()
    model.layer2[0].downsample = PaddedShortcut(first)
    model.layer3[0].downsample = PaddedShortcut(2 * first)
    model.layer4 = nn.Identity()  # timm calls four stages
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return cast(nn.Module, model)


CIFAR: dict[str, Callable[[int, int, float], nn.Module]] = {
    "cifar-resnet20": partial(_cifar_resnet, 3),
    "cifar-resnet56": partial(_cifar_resnet, 9),
    "resnet18-imagenet-stem": _resnet18,
    "vgg16-bn": partial(_vgg, (2, 2, 3, 3, 3)),
    "vgg19-bn": partial(_vgg, (2, 2, 4, 4, 4)),
}
