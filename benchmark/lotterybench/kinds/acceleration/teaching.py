"""A method made ready as a study's record says, and the steps that it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lotterybench.errors import BadRequest
from lotterybench.methods import Learner, Task, method
from lotterybench.methods.base.architectures import architecture
from lotterybench.methods.base.data import batch_sizes
from lotterybench.methods.base.rates import Stepped
from lotterybench.methods.base.recipe import settings_of
from lotterybench.studies.acceleration import Training
from lotterybench.trials import Setting

OWN = ("epochs", "lr", "backbone", "batch", "weight_decay")  # fields of a `Training`


def learner_of(training: Training, task: Task, **changed: Setting) -> Learner:
    """Return a method's learner; `changed` are settings that take the place of the record's.

    Raises `BadRequest` for what `check` refuses, and for another number of views than the record
    says, since costs are counted by it before anything is run.
    """
    check(training)
    settings: dict[str, Any] = {**training.settings, **changed}
    if training.weight_decay is not None:
        settings["weight_decay"] = training.weight_decay
    made = method[training.method](
        task, epochs=training.epochs, lr=training.lr, backbone=training.backbone,
        batch=training.batch, **settings,
    )  # fmt: skip
    assert isinstance(made, Learner)
    if made.views != training.views:
        raise BadRequest(
            f"{training.method} trains on {made.views} views of an image, and the study says "
            f"{training.views}"
        )
    return _scheduled(made, training)


def check(training: Training) -> None:
    """Refuse a method that trains nothing by steps, and settings that it does not have.

    Raises `BadRequest`, and `UnknownName` for a method or a backbone that does not exist.
    """
    architecture(training.backbone)
    known = settings_of(training.method)
    if not {"batch", "backbone"} <= set(known):
        raise BadRequest(f"{training.method} does not train by steps; take a method that does")
    strange = [name for name in training.settings if name not in known or name in OWN]
    if strange:
        allowed = ", ".join(name for name in known if name not in OWN)
        raise BadRequest(f"{training.method} has no setting {strange[0]} here; it has {allowed}")


def steps_of(training: Training, count: int) -> int:
    """Return the optimiser's steps on `count` samples an epoch."""
    return training.epochs * len(batch_sizes(count, training.batch))


def _scheduled(made: Learner, training: Training) -> Learner:
    schedule = made.schedule
    if training.optimiser is not None:
        schedule = replace(schedule, optimiser=training.optimiser)
    if training.constant:
        schedule = replace(schedule, rate=Stepped(training.epochs, ()))
    return replace(made, schedule=schedule)
