"""Image encoders for small images: eight of our own sizes, and timm's with other stems.

ImageNet stems would shrink images of 32 pixels to a pixel. `small` builds the encoders of our own
sizes, `named` fits timm's architectures, `cifar` has the nets of papers on lottery tickets;
`architectures` beside this tells of all without torch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import nn

from lotterybench.methods.base.architectures import ARCHITECTURES, architecture, check
from lotterybench.methods.base.backbones.cifar import CIFAR
from lotterybench.methods.base.backbones.named import NAMED
from lotterybench.methods.base.backbones.small import SMALL
from lotterybench.methods.base.shape import Task

__all__ = [
    "BACKBONES",
    "MOMENTUM",
    "Family",
    "build",
    "dimension",
    "encoder",
    "family",
    "grid",
    "seeded",
]

# Of batch norm's running statistics. 120 digits make 24 steps, after which torch's .1 still
# remembers the start: .3 brings convmixer from 39 to 70 % and resnet from 62 to 74 %, and changes
# nothing on 900.
MOMENTUM = 0.3


class Family(NamedTuple):
    """A backbone: `build(in_chans, size, width)`, its group, and the optimiser that suits it."""

    build: Callable[[int, int, float], nn.Module]
    optimiser: str
    weight_decay: float
    memory_format: torch.memory_format
    group: str
    rate: float


def _family(name: str, build: Callable[[int, int, float], nn.Module]) -> Family:
    facts = ARCHITECTURES[name]
    layout = torch.channels_last if facts.channels_last else torch.contiguous_format
    return Family(build, facts.optimiser, facts.weight_decay, layout, facts.group, facts.rate)


BACKBONES = {
    name: _family(name, build) for name, build in sorted({**SMALL, **NAMED, **CIFAR}.items())
}


def family(name: str) -> Family:
    """Return a backbone's family; raise `UnknownName` for a name that is not in `BACKBONES`."""
    architecture(name)
    return BACKBONES[name]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch's global CPU generator start at `seed` inside, and restore it afterwards.

    For initialisers that take no generator; weights made here are the same on every device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def build(name: str, *, in_chans: int, size: int, seed: int, width: float = 1.0) -> nn.Module:
    """Build an encoder with the weights of `seed`: float (n, in_chans, size, size) to (n, d).

    `dimension` tells d; `width` multiplies the channels, rounded to multiples of 8. Raises
    `UnknownName` for the name and `BadRequest` for a size or a width that it does not take.
    """
    check(name, size=size, width=width)
    found = BACKBONES[name]
    with seeded(seed):
        model = found.build(in_chans, size, width)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    return model.to(memory_format=found.memory_format)


def encoder(name: str, task: Task, width: float = 1.0) -> nn.Module:
    """Build an encoder for a task's images, on its device, from its stream `init`."""
    in_chans, _, size = task.data.shape
    seed = task.stream("init")
    return build(name, in_chans=in_chans, size=size, seed=seed, width=width).to(task.device)


def dimension(model: nn.Module) -> int:
    """Return the number of features that an encoder of this module yields."""
    return cast(int, model.head_hidden_size)


@torch.no_grad()
def grid(model: nn.Module, in_chans: int, size: int) -> int:
    """Return the side of the last grid of cells or patches, of an encoder on the CPU."""
    training = model.training
    see = cast(Callable[[torch.Tensor], torch.Tensor], model.eval().forward_features)
    found = see(torch.zeros(1, in_chans, size, size))
    model.train(training)
    if found.ndim == 3:  # tokens, one of which may stand for the class
        return int(found.shape[1] ** 0.5)
    channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
    return int(found.shape[1 if channels_last else 2])
