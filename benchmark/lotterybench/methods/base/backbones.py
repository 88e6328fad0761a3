"""Small image encoders of eight families, built from timm's classes for images of 8 to 32 pixels.

ImageNet stems would shrink such images to one pixel. Here a stem leaves a grid of at least 8 × 8
to the convolutional nets, and patches make 16 tokens of an image up to 16 pixels wide.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.models.convmixer import ConvMixer
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.mlp_mixer import MlpMixer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.shape import Task
from lotterybench.registry import unknown


class Family(NamedTuple):
    """A backbone: `build(in_chans, size)`, and the optimiser and decay that suit it."""

    build: Callable[[int, int], nn.Module]
    optimiser: str
    weight_decay: float
    memory_format: torch.memory_format


def _width(size: int) -> int:
    """The first stage's channels: digits need few, and small nets are what CPUs can train."""
    return 8 if size <= 8 else 32


def _stride(size: int) -> int:
    return 1 if size <= 8 else 2


def _patch(size: int) -> int:
    return min(4, size // 4)


def _resnet(in_chans: int, size: int) -> nn.Module:
    return _staged("basic", in_chans, size)


def _repvgg(in_chans: int, size: int) -> nn.Module:
    return _staged("rep", in_chans, size)


def _resnext(in_chans: int, size: int) -> nn.Module:
    return _staged("bottle", in_chans, size, group=8, ratio=0.5)


def _staged(kind: str, in_chans: int, size: int, group: int = 0, ratio: float = 1.0) -> nn.Module:
    """Three stages of one block each, at 1, 2 and 4 times the width."""
    width = _width(size)
    blocks = tuple(
        ByoBlockCfg(type=kind, d=1, c=width * 2**stage, s=min(2, stage + 1), gs=group, br=ratio)
        for stage in range(3)
    )
    shape = ByoModelCfg(blocks=blocks, stem_type="3x3", stem_pool="", stem_chs=width)
    model = ByobNet(shape, num_classes=0, in_chans=in_chans)
    model.stem.conv.stride = (_stride(size),) * 2  # timm fixes 2
    return cast(nn.Module, model)


def _mobilenet(in_chans: int, size: int) -> nn.Module:
    width = _width(size)
    stages = [
        [f"ds_r1_k3_s1_e1_c{width}"],
        [f"ir_r1_k3_s2_e3_c{width}"],
        [f"ir_r1_k3_s2_e3_c{2 * width}"],
    ]
    model = EfficientNet(
        decode_arch_def(stages),  # type: ignore[no-untyped-call]
        num_classes=0,
        num_features=4 * width,
        in_chans=in_chans,
        stem_size=width,
        round_chs_fn=round,  # keep the widths as they are, not multiples of 8
    )
    model.conv_stem.stride = (_stride(size),) * 2
    return cast(nn.Module, model)


def _convnext(in_chans: int, size: int) -> nn.Module:
    width = _width(size)
    model = ConvNeXt(
        in_chans=in_chans,
        num_classes=0,
        depths=(1, 1, 1, 1),
        dims=(width, 2 * width, 2 * width, 4 * width),
        kernel_sizes=3,
        patch_size=1,
        ls_init_value=None,  # 1e-6 needs more steps than these trainings have
    )
    stride = _stride(size)
    model.stem[0] = nn.Conv2d(
        in_chans, width, stride, stride
    )  # timm ties patch 2 to a fifth halving
    return cast(nn.Module, model)


def _convmixer(in_chans: int, size: int) -> nn.Module:
    width, patch = 4 * _width(size), _patch(size)
    model = ConvMixer(width, 2, 3, patch, in_chans=in_chans, num_classes=0)
    return cast(nn.Module, model)


def _vit(in_chans: int, size: int) -> nn.Module:
    model = VisionTransformer(
        img_size=size,
        patch_size=_patch(size),
        in_chans=in_chans,
        num_classes=0,
        embed_dim=32 if size <= 8 else 64,
        depth=3,
        num_heads=2,
        mlp_ratio=2.0,
        global_pool="avg",
        class_token=False,
    )
    return cast(nn.Module, model)


def _mixer(in_chans: int, size: int) -> nn.Module:
    model = MlpMixer(
        num_classes=0,
        img_size=size,
        in_chans=in_chans,
        patch_size=_patch(size),
        num_blocks=3,
        embed_dim=32 if size <= 8 else 64,
        mlp_ratio=(0.5, 2.0),
    )
    return cast(nn.Module, model)


# channels_last trains the convolutional nets 1.2 to 1.8 times as fast on a CPU, tokens no faster.
_SGD = ("sgd", 5e-4, torch.channels_last)
_ADAMW = ("adamw", 0.05, torch.channels_last)
_TOKENS = ("adamw", 0.05, torch.contiguous_format)
BACKBONES = {
    "convmixer": Family(_convmixer, *_ADAMW),
    "convnext": Family(_convnext, *_ADAMW),
    "mixer": Family(_mixer, *_TOKENS),
    "mobilenet": Family(_mobilenet, *_SGD),
    "repvgg": Family(_repvgg, *_SGD),
    "resnet": Family(_resnet, *_SGD),
    "resnext": Family(_resnext, *_SGD),
    "vit": Family(_vit, *_TOKENS),
}


def family(name: str) -> Family:
    """Return a backbone's family; raise `UnknownName` for a name that is not in `BACKBONES`."""
    if name not in BACKBONES:
        raise unknown("backbone", name, sorted(BACKBONES))
    return BACKBONES[name]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch's global CPU generator start at `seed` inside, and restore it afterwards.

    For initialisers that take no generator; weights made here are the same on every device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def build(name: str, *, in_chans: int, size: int, seed: int) -> nn.Module:
    """Build an encoder with the weights of `seed`: float (n, in_chans, size, size) to (n, d).

    `dimension` tells d. Raises `UnknownName` for the name and `BadRequest` for a size that is no
    multiple of 4 from 8 up.
    """
    found = family(name)
    if size < 8 or size % 4:
        raise BadRequest(f"images are {size} pixels wide; backbones take multiples of 4 from 8 up")
    with seeded(seed):
        model = found.build(in_chans, size)
    return model.to(memory_format=found.memory_format)


def encoder(name: str, task: Task) -> nn.Module:
    """Build an encoder for a task's images, on its device, from its stream `init`."""
    _, in_chans, _, size = task.images.shape
    model = build(name, in_chans=in_chans, size=size, seed=task.stream("init"))
    return model.to(task.device)


def dimension(model: nn.Module) -> int:
    """Return the number of features that an encoder of this module yields."""
    return cast(int, model.num_features)
