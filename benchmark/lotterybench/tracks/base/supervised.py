"""Pools of supervised networks: a family per group of backbones, a few configurations each."""

from typing import NamedTuple

from lotterybench.trials import Configuration, Setting

SLOWER = 0.25  # of the rate: the other level of every family's axis of learning rates


class Net(NamedTuple):
    """A backbone, its group, its peak rate, and what else its family varies at that rate.

    `levels` are values of the setting `axis`; of `epochs` they are factors of the track's.
    """

    group: str
    backbone: str
    lr: float
    axis: str | None = None
    levels: tuple[float, ...] = ()


def pool(nets: list[Net], *, epochs: int, batch: int) -> list[Configuration]:
    """Return the configurations of some families: two rates of each net, and its other axis."""
    return [entry for net in nets for entry in _family(net, epochs, batch)]


def _family(net: Net, epochs: int, batch: int) -> list[Configuration]:
    rates = [_entry(net, "lr", rate, epochs, batch) for rate in (SLOWER * net.lr, net.lr)]
    others = [_entry(net, net.axis, level, epochs, batch) for level in net.levels if net.axis]
    return rates + others


def _entry(net: Net, axis: str, level: float, epochs: int, batch: int) -> Configuration:
    value: int | float = round(epochs * level) if axis == "epochs" else level
    config: dict[str, Setting] = {
        "backbone": net.backbone, "lr": net.lr, "epochs": epochs, "batch": batch, axis: value,
    }  # fmt: skip
    return Configuration(
        name=f"{net.backbone}-{axis.replace('_', '-')}{value:g}",
        family=f"supervised/{net.group}",
        method="supervised",
        config=config,
        axis=axis,
    )


def at_16_pixels(sgd: float, adamw: float) -> list[Net]:
    """Return fourteen families for 16 × 16 pixels: eight small nets, six of timm's fastest.

    `sgd` and `adamw` are the small nets' upper rates. timm's take a sensible one that was not swept
    (`methods/base/architectures.py`), and vary nothing else: they are ten times as slow.
    """
    return [
        Net("convmixer", "convmixer", adamw, "epochs", (2, 4)),
        Net("convnext", "convnext", adamw, "width", (0.5, 2.0)),
        Net("mixer", "mixer", adamw, "weight_decay", (0.005, 0.5)),
        Net("mobilenet", "mobilenet", sgd, "mixup", (0.2, 1.0)),
        Net("repvgg", "repvgg", sgd, "weight_decay", (5e-5, 5e-3)),
        Net("resnet", "resnet", sgd, "width", (0.5, 2.0)),
        Net("resnext", "resnext", sgd, "strength", (0.0, 2.0)),
        Net("vit", "vit", adamw, "mixup", (0.2, 1.0)),
        Net("efficientvit", "efficientvit-b0", 0.002),
        Net("ghostnet", "ghostnet-100", 0.1),
        Net("inception-next", "inception-next-atto", 0.002),
        Net("mobilevit", "mobilevit-xxs", 0.002),
        Net("regnet", "regnety-002", 0.1),
        Net("xcit", "xcit-nano", 0.001),
    ]


# 32 × 32 pixels, on a GPU. Rates as above: sensible, not swept.
AT_32_PIXELS = [
    Net("convmixer", "convmixer", 0.004, "epochs", (2, 4)),
    Net("convnext", "convnext-atto", 0.002, "width", (0.5, 1.5)),
    Net("efficientnet", "efficientnet-b0", 0.1),
    Net("efficientvit", "efficientvit-b0", 0.002, "strength", (0.0, 2.0)),
    Net("ghostnet", "ghostnet-100", 0.1),
    Net("mixer", "resmlp-12", 0.001, "mixup", (0.2, 1.0)),
    Net("mobilenet", "mobilenetv2", 0.1, "weight_decay", (5e-5, 5e-3)),
    Net("mobilevit", "mobilevit-xxs", 0.002),
    Net("pvt", "pvt-v2-b0", 0.001, "strength", (0.0, 2.0)),
    Net("regnet", "regnety-002", 0.1, "mixup", (0.2, 1.0)),
    Net("repvgg", "repvgg-a0", 0.1, "weight_decay", (5e-5, 5e-3)),
    Net("resnet", "resnet18", 0.1, "width", (0.25, 0.5)),
    Net("swin", "swin-tiny", 0.001),
    Net("vit", "vit-tiny", 0.001, "mixup", (0.2, 1.0)),
]

# Families of their own that subsets may be chosen with (protocol §6).
CHOOSE_AT_32_PIXELS = [
    Net("inception-next", "inception-next-atto", 0.002, "mixup", (0.2, 1.0)),
    Net("starnet", "starnet-s1", 0.002, "weight_decay", (0.005, 0.5)),
    Net("xcit", "xcit-nano", 0.001, "strength", (0.0, 2.0)),
]
