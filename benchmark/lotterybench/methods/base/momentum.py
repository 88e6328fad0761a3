"""Momentum teachers: copies of a student that follow it slowly and are never trained."""

from __future__ import annotations

import copy
from collections.abc import Callable

from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import nn

from lotterybench.methods.base.data import Batch


def teacher_of(student: nn.Module) -> nn.Module:
    """Return a copy of the student, equal to it at first, whose parameters want no gradient."""
    teacher = copy.deepcopy(student)
    deactivate_requires_grad(teacher)
    return teacher


def following(
    student: nn.Module, teacher: nn.Module, start: float, end: float = 1.0
) -> Callable[[Batch], None]:
    """Return the step that makes the teacher a moving average of the student.

    The average's momentum goes from `start` to `end` as half a cosine (Grill et al. 2020). It
    averages parameters; a teacher's batch norms use the statistics of its own batches.
    """

    def after_step(batch: Batch) -> None:
        momentum = cosine_schedule(batch.step, batch.steps, start, end)
        update_momentum(student, teacher, momentum)

    return after_step
