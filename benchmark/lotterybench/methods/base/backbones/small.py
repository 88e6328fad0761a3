"""Small image encoders of eight families, built from timm's classes for images of 8 to 32 pixels.

A stem leaves the convolutional nets a grid of 8 × 8 or more, and token nets read patches of 4 × 4.
"""

from math import gcd
from typing import cast

import torch
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.models.convmixer import ConvMixer
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.mlp_mixer import MlpMixer
from timm.models.vision_transformer import VisionTransformer
from torch import nn


def scaled(channels: int, width: float, of: int = 8) -> int:
    """Return `width` times as many channels, rounded to a multiple of `of` that is not 0."""
    return max(1, round(channels * width / of)) * of


def _width(size: int, width: float) -> int:
    """The stem's channels; the features are four times as many."""
    return scaled(16 if size <= 8 else 32, width)


def _depth(size: int) -> int:
    """The number of blocks: at 8 pixels a step costs per operation, not per pixel."""
    return 2 if size <= 8 else 3


def _stride(size: int) -> int:
    """The stem's stride: a grid of 8 × 8 remains of 8 and of 16 pixels."""
    return 1 if size <= 8 else 2


def _stages(size: int, width: float) -> list[tuple[int, int]]:
    """The channels and the stride of each stage; 8 pixels skip the one that keeps the grid."""
    stem = _width(size, width)
    return [(stem, 1), (2 * stem, 2), (4 * stem, 2)][-_depth(size) :]


def _resnet(in_chans: int, size: int, width: float) -> nn.Module:
    return _staged("basic", in_chans, size, width)


def _resnet20(in_chans: int, size: int, width: float) -> nn.Module:
    """He et al. 2016, §4.2, with n = 3; the stem halves, which costs a quarter."""
    return _staged("basic", in_chans, size, width / 2, depth=3)


def _resnet8(in_chans: int, size: int, width: float) -> nn.Module:
    """The same with n = 1: a third of its blocks, for trainings of a minute on a CPU."""
    return _staged("basic", in_chans, size, width / 2)


def _repvgg(in_chans: int, size: int, width: float) -> nn.Module:
    return _staged("rep", in_chans, size, width)


def _resnext(in_chans: int, size: int, width: float) -> nn.Module:
    group = gcd(8, _stages(size, width)[0][0] // 2)  # 8 wherever the width lets it
    return _staged("bottle", in_chans, size, width, group=group, ratio=0.5)


def _staged(
    kind: str,
    in_chans: int,
    size: int,
    width: float,
    *,
    depth: int = 1,
    group: int = 0,
    ratio: float = 1.0,
) -> nn.Module:
    blocks = tuple(
        ByoBlockCfg(type=kind, d=depth, c=channels, s=stride, gs=group, br=ratio)
        for channels, stride in _stages(size, width)
    )
    shape = ByoModelCfg(blocks=blocks, stem_type="3x3", stem_pool="", stem_chs=_width(size, width))
    # branches that start at 0 cost steps: 39 against 74 % with 120 digits
    model = ByobNet(shape, num_classes=0, in_chans=in_chans, zero_init_last=False)
    model.stem.conv.stride = (_stride(size),) * 2  # timm fixes 2
    return cast(nn.Module, model)


def _mobilenet(in_chans: int, size: int, width: float) -> nn.Module:
    stem = _width(size, width)
    blocks = [
        [f"ir_r1_k3_s{stride}_e3_c{channels // 2}"] for channels, stride in _stages(size, width)
    ]
    model = EfficientNet(
        decode_arch_def(blocks),  # type: ignore[no-untyped-call]
        num_classes=0,
        num_features=4 * stem,
        in_chans=in_chans,
        stem_size=stem,
        round_chs_fn=round,  # take the widths as they are
    )
    model.conv_stem.stride = (_stride(size),) * 2
    return cast(nn.Module, model)


def _convnext(in_chans: int, size: int, width: float) -> nn.Module:
    stem, stride = _width(size, width), _stride(size)
    model = ConvNeXt(
        in_chans=in_chans,
        num_classes=0,
        depths=(0, 1, 1, 0) if _depth(size) == 2 else (1, 1, 1, 0),  # 0: the stage only halves
        dims=(stem, 2 * stem, 4 * stem, 4 * stem),
        kernel_sizes=3,
        patch_size=1,
        ls_init_value=None,  # scales of 1e-6 need more steps to grow than these trainings have
    )
    model.stem[0] = nn.Conv2d(in_chans, stem, stride, stride)  # timm halves once more at patch 2
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()  # timm's deviation of .02 is meant for 96 channels and more
    return cast(nn.Module, model)


def _convmixer(in_chans: int, size: int, width: float) -> nn.Module:
    model = ConvMixer(
        4 * _width(size, width),
        2,
        kernel_size=3,
        patch_size=2 * _stride(size),
        in_chans=in_chans,
        num_classes=0,
    )
    return cast(nn.Module, model)


def _vit(in_chans: int, size: int, width: float) -> nn.Module:
    model = VisionTransformer(
        img_size=size,
        patch_size=4,
        in_chans=in_chans,
        num_classes=0,
        embed_dim=scaled(64, width),
        depth=_depth(size),
        num_heads=2,
        mlp_ratio=2.0,
        global_pool="avg",
        class_token=False,
        weight_init="jax",  # Glorot's; timm's default deviation of .02 is meant for 768 features
    )
    # timm's .02 needs more steps to grow: 83 against 90 % on 900 digits
    nn.init.normal_(cast(torch.Tensor, model.pos_embed))
    return cast(nn.Module, model)


def _mixer(in_chans: int, size: int, width: float) -> nn.Module:
    model = MlpMixer(
        num_classes=0,
        img_size=size,
        in_chans=in_chans,
        patch_size=4,
        num_blocks=_depth(size),
        embed_dim=scaled(64, width),
        mlp_ratio=(0.5, 2.0),
    )
    return cast(nn.Module, model)


SMALL = {
    "convmixer": _convmixer,
    "convnext": _convnext,
    "mixer": _mixer,
    "mobilenet": _mobilenet,
    "repvgg": _repvgg,
    "resnet": _resnet,
    "resnet8": _resnet8,
    "resnet20": _resnet20,
    "resnext": _resnext,
    "vit": _vit,
}
