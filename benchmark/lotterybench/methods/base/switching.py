"""When an accelerated training leaves its first stage: once its loss stalls, or at an epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from lightly.utils.dist import world_size
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.shape import Learner

SLOW, FAST = 2.0, 1.0  # the running means to begin with: apart, lest the switch fire at once
ALIKE = 0.995  # exp(fast − slow) from which the means count as one


@dataclass(frozen=True)
class Adaptive:
    """Leave stage 1 once two running means of its loss have met (ReLA's public code).

    A loss of 1 throughout takes 528 steps, one of .4 takes 2,578: a short training may never
    leave stage 1.
    """


@dataclass(frozen=True)
class AtEpoch:
    """Leave stage 1 after a `share` of the schedule's epochs, rounded down.

    Raises `BadRequest` for a share outside 0 (no stage 1) to 1 (no stage 2).
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise BadRequest(
                f"the switch at {self.share:g} of the epochs is not from 0 (at once) to 1 (never)"
            )

    def of(self, epochs: int) -> int:
        """Return the first epoch of stage 2, counted from 0."""
        return math.floor(self.share * epochs + 1e-9)  # .29 · 100 is 28.999999999999996


NEVER = AtEpoch(1.0)


class Switch(nn.Module):
    """The state of a switch, all of it in buffers, so that a checkpoint keeps it.

    `slow` and `fast` are the running means, `switched` says that they have met, `step` is the
    first step of stage 2 (−1 before), and `images` counts those that went through the network.
    """

    slow: Tensor
    fast: Tensor
    switched: Tensor
    step: Tensor
    images: Tensor

    def __init__(self, rule: Adaptive | AtEpoch, epochs: int) -> None:
        super().__init__()
        self.until = rule.of(epochs) if isinstance(rule, AtEpoch) else None
        self.over = False
        self.register_buffer("slow", torch.tensor(SLOW, dtype=torch.float64))
        self.register_buffer("fast", torch.tensor(FAST, dtype=torch.float64))
        self.register_buffer("switched", torch.tensor(False))
        self.register_buffer("step", torch.tensor(-1))
        self.register_buffer("images", torch.tensor(0))

    def first_stage(self, batch: Batch) -> bool:
        """Say whether a batch is of stage 1."""
        if self.until is not None:
            return batch.epoch < self.until
        # A look waits for the device; no step of stage 2 but the first takes one.
        self.over = self.over or bool(self.switched)
        return not self.over

    def count(self, batch: Batch, views: int, *, second: bool = False) -> None:
        """Count a batch's images, each view as one; note the step if it is the `second` stage's."""
        self.images.add_(batch.draws.whole * views)
        if second:
            self.step.copy_(torch.where(self.step < 0, batch.step, self.step))

    @torch.no_grad()
    def observe(self, loss: Tensor, count: int) -> None:
        """Take in a loss of stage 1, the mean of the `count` images that this process holds.

        The step that finds the means alike is the last of stage 1.
        """
        if self.until is not None:
            return
        loss = _of_all(loss.double(), count)
        alike = (-(self.slow - self.fast).clamp(min=0)).exp() >= ALIKE
        self.switched.logical_or_(alike)
        self.fast.add_(loss - self.fast, alpha=0.001)
        self.slow.add_(self.fast - self.slow, alpha=0.01)

    def seen(self) -> int:
        """Return how many images went through the network."""
        return int(self.images)


def switch_step(learner: Learner) -> int | None:
    """Return the first step of stage 2, counted from 0 as batches are; None if it never came.

    So many steps stage 1 took, of a training that began at epoch 0. Raises `ValueError` for a
    learner without stages.
    """
    for module in learner.net.modules():
        if isinstance(module, Switch):
            return int(module.step) if module.step >= 0 else None
    raise ValueError("a learner without stages has no switch")


def _of_all(mean: Tensor, count: int) -> Tensor:
    """Return the mean over the images of all processes that share a batch."""
    if world_size() == 1:
        return mean
    total = torch.stack((mean * count, torch.full_like(mean, count)))
    torch.distributed.all_reduce(total)
    return total[0] / total[1]
