"""timm's own architectures, fitted to images of 16 to 64 pixels.

Their stems and first stages shrink an image 4 times before the features proper. Here they keep
its size: the first convolution is 3 × 3 with stride 1 and the next reduction is left out, so that
the last grid has an eighth of the image's side (4 × 4 at 32 pixels) in place of 1/32. Token nets
read smaller patches. Weights start as timm's do but for what is said of each. No dropout.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import timm
from timm.layers.mlp import GatedMlp
from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock, SpatialGatingBlock
from timm.models.resnet import BasicBlock
from torch import nn

from lotterybench.methods.base.backbones.small import scaled


class Fit(NamedTuple):
    """How one of timm's models is fitted, by the names of its modules.

    `stem` is a convolution that becomes 3 × 3 with stride 1; those of `whole` only lose their
    stride; `dropped` are poolings that are left out. `settings` are the model's own.
    """

    model: str
    stem: str = ""
    whole: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    settings: dict[str, Any] = {}  # noqa: RUF012


# Where timm scales a branch by 1e-5 or 1e-6 at the start, here it starts at a tenth or whole: short
# trainings have too few steps for such scales to grow.
FITS = {
    "densenet-bc": Fit(  # with L = 100 and k = 12, as Huang et al. 2017 train on CIFAR
        "densenet121",
        "features.conv0",
        dropped=("features.pool0",),
        settings={"growth_rate": 12, "block_config": (16, 16, 16)},
    ),
    "efficientnet-b0": Fit("efficientnet_b0", whole=("conv_stem", "blocks.1.0.conv_dw")),
    "efficientvit-b0": Fit(
        "efficientvit_b0",
        whole=("stem.in_conv.conv", "stages.0.blocks.0.main.depth_conv.conv"),
    ),
    "fastvit-t8": Fit(
        "fastvit_t8",
        whole=tuple(
            f"stem.{layer}.{branch}.conv"
            for layer in (0, 1)
            for branch in ("conv_kxk.0", "conv_scale")
        ),
        settings={"layer_scale_init_value": 0.1},
    ),
    "ghostnet-100": Fit(
        "ghostnet_100",
        whole=("conv_stem", "blocks.1.0.conv_dw", "blocks.1.0.shortcut.0"),
        settings={"drop_rate": 0.0},
    ),
    "inception-next-atto": Fit("inception_next_atto", "stem.0", settings={"ls_init_value": 0.1}),
    "mambaout-femto": Fit("mambaout_femto", whole=("stem.conv1", "stem.conv2")),
    "mobilenetv2": Fit("mobilenetv2_100", whole=("conv_stem", "blocks.1.0.conv_dw")),
    "mobilenetv3-small": Fit("mobilenetv3_small_100", whole=("conv_stem", "blocks.0.0.conv_dw")),
    "mobilevit-xxs": Fit("mobilevit_xxs", whole=("stem.conv", "stages.1.0.conv2_kxk.conv")),
    "poolformer-s12": Fit(
        "poolformer_s12", "stem.conv", settings={"layer_scale_init_values": None}
    ),
    "pvt-v2-b0": Fit("pvt_v2_b0", "patch_embed.proj"),
    "regnety-002": Fit(
        "regnety_002",
        whole=("stem.conv", "s1.b1.conv2.conv", "s1.b1.downsample.conv"),
    ),
    "repvgg-a0": Fit(
        "repvgg_a0",
        whole=tuple(
            f"{block}.{branch}.conv"
            for block in ("stem", "stages.0.0")
            for branch in ("conv_kxk", "conv_1x1")
        ),
    ),
    "repvit-m0-9": Fit("repvit_m0_9", whole=("stem.conv1.c", "stem.conv2.c")),
    "resnet50": Fit("resnet50", "conv1", dropped=("maxpool",), settings={"zero_init_last": False}),
    "starnet-s1": Fit("starnet_s1", whole=("stem.0.conv", "stages.0.0.conv")),
    "xcit-nano": Fit("xcit_nano_12_p8_224", whole=("patch_embed.proj.0.0",)),
}


def _fitted(fit: Fit, in_chans: int, size: int, width: float, **more: Any) -> nn.Module:
    settings = {**fit.settings, **more}
    model = timm.create_model(fit.model, num_classes=0, in_chans=in_chans, **settings)
    if fit.stem:
        first = _convolution(model, fit.stem)
        stem = nn.Conv2d(in_chans, first.out_channels, 3, padding=1, bias=first.bias is not None)
        model.set_submodule(fit.stem, stem)
    for path in fit.whole:
        _convolution(model, path).stride = (1, 1)
    for path in fit.dropped:
        model.set_submodule(path, nn.Identity())
    return model


def _convolution(model: nn.Module, path: str) -> nn.Conv2d:
    return cast(nn.Conv2d, model.get_submodule(path))


def _convnext_atto(in_chans: int, size: int, width: float) -> nn.Module:
    dims = tuple(scaled(channels, width) for channels in (40, 80, 160, 320))
    fit = Fit("convnext_atto", "stem.0")
    return _fitted(fit, in_chans, size, width, dims=dims, ls_init_value=None)


def _resnet18(in_chans: int, size: int, width: float) -> nn.Module:
    """timm's stem has 64 channels at any width, hence the first block is remade with it."""
    first = scaled(64, width)
    channels = (first, 2 * first, 4 * first, 8 * first)
    model: Any = timm.create_model(
        "resnet18", num_classes=0, in_chans=in_chans, channels=channels, zero_init_last=False
    )
    model.conv1 = nn.Conv2d(in_chans, first, 3, padding=1, bias=False)
    model.bn1 = nn.BatchNorm2d(first)
    model.maxpool = nn.Identity()
    model.layer1[0] = BasicBlock(first, first)
    model.init_weights(zero_init_last=False)  # branches that start at 0 cost steps
    return cast(nn.Module, model)


def _vit_tiny(in_chans: int, size: int, width: float) -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224",
        num_classes=0,
        in_chans=in_chans,
        img_size=size,
        patch_size=4,
        embed_dim=scaled(192, width, of=24),  # three heads
    )


def _swin_tiny(in_chans: int, size: int, width: float) -> nn.Module:
    """Patches of 2 × 2 and windows of 4 × 4; the last stage, of 2 × 2 cells, is left out."""
    return timm.create_model(
        "swin_tiny_patch4_window7_224",
        num_classes=0,
        in_chans=in_chans,
        img_size=size,
        patch_size=2,
        window_size=4,
        depths=(2, 2, 6),
        num_heads=(3, 6, 12),
        drop_path_rate=0.0,
    )


def _resmlp_12(in_chans: int, size: int, width: float) -> nn.Module:
    """timm's function for it takes no patch size."""
    model = MlpMixer(
        num_classes=0,
        img_size=size,
        in_chans=in_chans,
        patch_size=4,
        num_blocks=12,
        embed_dim=scaled(384, width),
        mlp_ratio=4.0,
        block_layer=ResBlock,
        norm_layer=Affine,
    )
    return cast(nn.Module, model)


def _gmlp_ti(in_chans: int, size: int, width: float) -> nn.Module:
    """timm's function for it takes no patch size."""
    model = MlpMixer(
        num_classes=0,
        img_size=size,
        in_chans=in_chans,
        patch_size=4,
        num_blocks=30,
        embed_dim=128,
        mlp_ratio=6.0,
        block_layer=SpatialGatingBlock,
        mlp_layer=GatedMlp,
    )
    return cast(nn.Module, model)


NAMED: dict[str, Callable[[int, int, float], nn.Module]] = {
    **{name: partial(_fitted, fit) for name, fit in FITS.items()},
    "convnext-atto": _convnext_atto,
    "gmlp-ti": _gmlp_ti,
    "resmlp-12": _resmlp_12,
    "resnet18": _resnet18,
    "swin-tiny": _swin_tiny,
    "vit-tiny": _vit_tiny,
}
