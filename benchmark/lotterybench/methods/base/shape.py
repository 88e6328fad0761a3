"""What a method is given and what it returns; imports torch only for type checkers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lotterybench.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lotterybench.methods.base.data import Batch, Data


@dataclass(frozen=True)
class Task:
    """One training: the data to train on, and the run's noise.

    `classes` is the number of labels, 0..classes-1. `mirror` says whether a mirrored image keeps
    its class (a digit does not). `run` identifies the run; every stream of random numbers is
    derived from it, so no two runs share noise.
    """

    data: Data
    classes: int
    mirror: bool
    run: str
    _generators: dict[str, torch.Generator] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        """The device that batches come on and the training runs on."""
        return self.data.device

    def stream(self, name: str) -> int:
        """Return the seed of one stream of random numbers: `init`, `order`, `augment`, `head`."""
        return stream(self.run, name)

    def generator(self, name: str) -> torch.Generator:
        """Return the task's one generator of a stream, on the task's device.

        It starts at the stream's seed, and a checkpoint keeps where it got to.
        """
        import torch

        if name not in self._generators:
            started = torch.Generator(self.device).manual_seed(self.stream(name))
            self._generators[name] = started
        return self._generators[name]

    def states(self) -> dict[str, torch.Tensor]:
        """Return where each stream that was used has got to."""
        return {name: made.get_state() for name, made in self._generators.items()}


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    `optimiser` is one of timm's names (`sgd` is Nesterov's with momentum .9, `momentum` is without
    it); biases and norms do not decay. `clip` bounds the norm of the gradient. `rate` maps the
    steps done and those of the whole schedule to a part of the peak `lr`; by default it warms up
    and then falls to 0 as half a cosine. The first `begin` epochs of the schedule are left out, as
    of a network that is rewound to their end.
    """

    epochs: int
    lr: float
    batch: int
    optimiser: str
    weight_decay: float
    clip: float | None = None
    rate: Callable[[int, int], float] | None = None
    begin: int = 0


@dataclass(frozen=True)
class Learner:
    """A method made ready for one task: modules, an objective, and how to learn it.

    `encoder` maps normalised float images (n, C, H, W) to features (n, d); `classifier` maps
    features to logits (n, classes), or is None for a method that reads no labels. `net` holds
    every module with a state (teachers and queues too): its parameters that require a gradient
    are trained, and all of it is in a checkpoint, so that state kept elsewhere is lost by a
    resumed run.

    `loss` returns the mean loss of a batch or (loss, outputs), outputs being what the network
    says of each row before the update: logits (n, classes) of a supervised method, which observers
    receive. `after_backward` and `after_step` are called with the batch before and after the
    optimiser's step. `views` is how many images of each row go through the network; where that
    changes, it is the most, and `seen` tells after the training how many images did in all.
    """

    encoder: nn.Module
    net: nn.Module
    loss: Callable[[Batch], torch.Tensor | tuple[torch.Tensor, torch.Tensor]]
    schedule: Schedule
    views: int = 1
    classifier: nn.Module | None = None
    after_backward: Callable[[Batch], None] | None = None
    after_step: Callable[[Batch], None] | None = None
    seen: Callable[[], int] | None = None


@dataclass(frozen=True)
class Epoch:
    """One line of a training's curve: the mean loss of an epoch and the rate at its end."""

    epoch: int
    loss: float
    lr: float


@dataclass(frozen=True)
class Trained:
    """A trained method, its modules in evaluation mode, and the cost.

    `images_seen` counts training images that went through the network, each view as one. A
    method may return this itself, where the engine's training loop does not suit it.
    """

    encoder: nn.Module
    classifier: nn.Module | None
    images_seen: int
    curve: tuple[Epoch, ...] = ()


def stream(run: str, name: str) -> int:
    """Return the seed of one stream of a run's random numbers: uint32(sha256(run | name))."""
    return int.from_bytes(hashlib.sha256(f"{run}|{name}".encode()).digest()[:4], "big")


# A method is called as method(task, *, epochs=…, lr=…, **settings).
Method = Callable[..., Learner | Trained]

method: Registry[Method] = Registry("method")
