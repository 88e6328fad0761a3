"""Small image encoders of eight families, built from timm's classes for images of 8 to 32 pixels.

ImageNet stems would shrink such images to a pixel. Here a stem leaves the convolutional nets a
grid of 8 × 8 or more, and token nets read patches of 4 × 4.
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

# Of batch norm's running statistics. 120 digits make 24 steps, after which torch's .1 still
# remembers the start: .3 brings convmixer from 39 to 70 % and resnet from 62 to 74 %, and changes
# nothing on 900.
MOMENTUM = 0.3


class Family(NamedTuple):
    """A backbone: `build(in_chans, size)`, and the optimiser and decay that suit it."""

    build: Callable[[int, int], nn.Module]
    optimiser: str
    weight_decay: float
    memory_format: torch.memory_format


def _width(size: int) -> int:
    """The stem's channels; the features are four times as many."""
    return 16 if size <= 8 else 32


def _depth(size: int) -> int:
    """The number of blocks: at 8 pixels a step costs per operation, not per pixel."""
    return 2 if size <= 8 else 3


def _stride(size: int) -> int:
    """The stem's stride: a grid of 8 × 8 remains of 8 and of 16 pixels."""
    return 1 if size <= 8 else 2


def _stages(size: int) -> list[tuple[int, int]]:
    """The channels and the stride of each stage; 8 pixels skip the one that keeps the grid."""
    width = _width(size)
    return [(width, 1), (2 * width, 2), (4 * width, 2)][-_depth(size) :]


def _resnet(in_chans: int, size: int) -> nn.Module:
    return _staged("basic", in_chans, size)


def _repvgg(in_chans: int, size: int) -> nn.Module:
    return _staged("rep", in_chans, size)


def _resnext(in_chans: int, size: int) -> nn.Module:
    return _staged("bottle", in_chans, size, group=8, ratio=0.5)


def _staged(kind: str, in_chans: int, size: int, group: int = 0, ratio: float = 1.0) -> nn.Module:
    blocks = tuple(
        ByoBlockCfg(type=kind, d=1, c=width, s=stride, gs=group, br=ratio)
        for width, stride in _stages(size)
    )
    shape = ByoModelCfg(blocks=blocks, stem_type="3x3", stem_pool="", stem_chs=_width(size))
    # branches that start at 0 cost steps: 39 against 74 % with 120 digits
    model = ByobNet(shape, num_classes=0, in_chans=in_chans, zero_init_last=False)
    model.stem.conv.stride = (_stride(size),) * 2  # timm fixes 2
    return cast(nn.Module, model)


def _mobilenet(in_chans: int, size: int) -> nn.Module:
    width = _width(size)
    blocks = [[f"ir_r1_k3_s{stride}_e3_c{channels // 2}"] for channels, stride in _stages(size)]
    model = EfficientNet(
        decode_arch_def(blocks),  # type: ignore[no-untyped-call]
        num_classes=0,
        num_features=4 * width,
        in_chans=in_chans,
        stem_size=width,
        round_chs_fn=round,  # take the widths as they are
    )
    model.conv_stem.stride = (_stride(size),) * 2
    return cast(nn.Module, model)


def _convnext(in_chans: int, size: int) -> nn.Module:
    width, stride = _width(size), _stride(size)
    model = ConvNeXt(
        in_chans=in_chans,
        num_classes=0,
        depths=(0, 1, 1, 0) if _depth(size) == 2 else (1, 1, 1, 0),  # 0: the stage only halves
        dims=(width, 2 * width, 4 * width, 4 * width),
        kernel_sizes=3,
        patch_size=1,
        ls_init_value=None,  # scales of 1e-6 need more steps to grow than these trainings have
    )
    model.stem[0] = nn.Conv2d(in_chans, width, stride, stride)  # timm halves once more at patch 2
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()  # timm's deviation of .02 is meant for 96 channels and more
    return cast(nn.Module, model)


def _convmixer(in_chans: int, size: int) -> nn.Module:
    model = ConvMixer(
        4 * _width(size),
        2,
        kernel_size=3,
        patch_size=2 * _stride(size),
        in_chans=in_chans,
        num_classes=0,
    )
    return cast(nn.Module, model)


def _vit(in_chans: int, size: int) -> nn.Module:
    model = VisionTransformer(
        img_size=size,
        patch_size=4,
        in_chans=in_chans,
        num_classes=0,
        embed_dim=64,
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


def _mixer(in_chans: int, size: int) -> nn.Module:
    model = MlpMixer(
        num_classes=0,
        img_size=size,
        in_chans=in_chans,
        patch_size=4,
        num_blocks=_depth(size),
        embed_dim=64,
        mlp_ratio=(0.5, 2.0),
    )
    return cast(nn.Module, model)


# channels_last trains the convolutional nets 1.0 to 1.8 times as fast on a CPU, tokens no faster.
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
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    return model.to(memory_format=found.memory_format)


def encoder(name: str, task: Task, width: float = 1.0) -> nn.Module:
    """Build an encoder for a task's images, on its device, from its stream `init`."""
    in_chans, _, size = task.data.shape
    model = build(name, in_chans=in_chans, size=size, seed=task.stream("init"))
    return model.to(task.device)


def dimension(model: nn.Module) -> int:
    """Return the number of features that an encoder of this module yields."""
    return cast(int, model.num_features)
