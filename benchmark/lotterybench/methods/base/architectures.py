"""The names of the backbones and what suits each, told without importing torch."""

from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.registry import unknown


class Architecture(NamedTuple):
    """A backbone's facts: its group, and the optimiser and weight decay that suit it.

    `rate` is a sensible peak learning rate of supervised training with batches of 64; a track
    sweeps around it. `smallest` is the side in pixels from which images are taken. `widens` says
    whether `width` may differ from 1. `channels_last` is how its weights lie in memory.
    """

    group: str
    optimiser: str
    weight_decay: float
    rate: float
    channels_last: bool = True
    smallest: int = 16
    widens: bool = False


_SGD = ("sgd", 5e-4)
_TICKETS = ("sgd", 1e-4)
_ADAMW = ("adamw", 0.05)

# channels_last trains the convolutional nets 1.0 to 1.8 times as fast on a CPU, tokens no faster.
ARCHITECTURES = {
    # of our own sizes
    "convmixer": Architecture("convmixer", *_ADAMW, 0.004, smallest=8, widens=True),
    "convnext": Architecture("convnext", *_ADAMW, 0.004, smallest=8, widens=True),
    "mixer": Architecture("mixer", *_ADAMW, 0.004, channels_last=False, smallest=8, widens=True),
    "mobilenet": Architecture("mobilenet", *_SGD, 0.2, smallest=8, widens=True),
    "repvgg": Architecture("repvgg", *_SGD, 0.2, smallest=8, widens=True),
    "resnet": Architecture("resnet", *_SGD, 0.2, smallest=8, widens=True),
    "resnext": Architecture("resnext", *_SGD, 0.2, smallest=8, widens=True),
    "vit": Architecture("vit", *_ADAMW, 0.004, channels_last=False, smallest=8, widens=True),
    # He et al.'s nets for CIFAR, their stems as fast as the others' of our own sizes
    "resnet8": Architecture("resnet", *_SGD, 0.2, widens=True),
    "resnet20": Architecture("resnet", *_SGD, 0.2, widens=True),
    # of papers on lottery tickets, with the papers' stems and weight decay
    "cifar-resnet20": Architecture("resnet", *_TICKETS, 0.05, widens=True),
    "cifar-resnet56": Architecture("resnet", *_TICKETS, 0.02, widens=True),
    "resnet18-imagenet-stem": Architecture("resnet", *_TICKETS, 0.05, widens=True),
    "vgg16-bn": Architecture("vgg", *_TICKETS, 0.02, widens=True),
    "vgg19-bn": Architecture("vgg", *_TICKETS, 0.02, widens=True),
    # timm's
    "convnext-atto": Architecture("convnext", *_ADAMW, 0.002, widens=True),
    "densenet-bc": Architecture("densenet", *_SGD, 0.1),
    "efficientnet-b0": Architecture("efficientnet", *_SGD, 0.1),
    "efficientvit-b0": Architecture("efficientvit", *_ADAMW, 0.002),
    "fastvit-t8": Architecture("fastvit", *_ADAMW, 0.002),
    "ghostnet-100": Architecture("ghostnet", *_SGD, 0.1),
    "gmlp-ti": Architecture("mixer", *_ADAMW, 0.001, channels_last=False),
    "inception-next-atto": Architecture("inception-next", *_ADAMW, 0.002),
    "mambaout-femto": Architecture("mambaout", *_ADAMW, 0.002),
    "mobilenetv2": Architecture("mobilenet", *_SGD, 0.1),
    "mobilenetv3-small": Architecture("mobilenet", *_SGD, 0.1),
    "mobilevit-xxs": Architecture("mobilevit", *_ADAMW, 0.002),
    "poolformer-s12": Architecture("poolformer", *_ADAMW, 0.002),
    "pvt-v2-b0": Architecture("pvt", *_ADAMW, 0.001),
    "regnety-002": Architecture("regnet", *_SGD, 0.1),
    "repvgg-a0": Architecture("repvgg", *_SGD, 0.1),
    "repvit-m0-9": Architecture("repvit", *_ADAMW, 0.002),
    "resmlp-12": Architecture("mixer", *_ADAMW, 0.001, channels_last=False, widens=True),
    "resnet18": Architecture("resnet", *_SGD, 0.1, widens=True),
    "resnet50": Architecture("resnet", *_SGD, 0.1),
    "starnet-s1": Architecture("starnet", *_ADAMW, 0.002),
    "swin-tiny": Architecture("swin", *_ADAMW, 0.001, channels_last=False),
    "vit-tiny": Architecture("vit", *_ADAMW, 0.001, channels_last=False, widens=True),
    "xcit-nano": Architecture("xcit", *_ADAMW, 0.001),
}


def architecture(name: str) -> Architecture:
    """Return a backbone's facts; raise `UnknownName` for a name that is not in the table."""
    if name not in ARCHITECTURES:
        raise unknown("backbone", name, sorted(ARCHITECTURES))
    return ARCHITECTURES[name]


def check(name: str, *, size: int, width: float) -> None:
    """Refuse a backbone that does not exist, or cannot be built so.

    Raises `UnknownName` for the name and `BadRequest` for a `size` in pixels or a `width` that it
    does not take.
    """
    found = architecture(name)
    if size < found.smallest or size % 4:
        raise BadRequest(
            f"images are {size} pixels wide; {name} takes multiples of 4 from {found.smallest} up"
        )
    if width != 1 and not found.widens:
        raise BadRequest(f"{name} has one width only; leave width at 1")
    if not 1 / 8 <= width <= 8:
        raise BadRequest(f"width {width:g} is not between 1/8 and 8")
