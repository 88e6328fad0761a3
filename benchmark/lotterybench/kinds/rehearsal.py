"""What is trained for a moment to time a study's stages: each kind of study says it of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lotterybench.kinds.stages import Stage
from lotterybench.methods import Learner, Task
from lotterybench.registry import Registry

# rehearse[kind](stage, device) makes ready what trains as a stage does; nothing else must exist.
Rehearse = Callable[[Stage, str], tuple[Task, Learner]]

rehearse: Registry[Any] = Registry("kind of study")
rehearse.lazy("tickets", at="lotterybench.kinds.rehearsal:of_recipe")
rehearse.lazy("transfer", at="lotterybench.kinds.rehearsal:of_recipe")
rehearse.lazy("pretrained", at="lotterybench.kinds.pretrained.rehearsal:of_stage")
rehearse.lazy("acceleration", at="lotterybench.kinds.acceleration.rehearsal:of_stage")

DECIDES = ("base", "resolution", "recipe", "backbone", "pretraining", "target", "canvases")


def pace_of(stage: Stage) -> str:
    """Return what decides a stage's pace, as JSON: two stages of one pace are timed once."""
    return json.dumps([stage.settings.get(name) for name in DECIDES], sort_keys=True)


def of_recipe(stage: Stage, device: str) -> tuple[Task, Learner]:
    """Make ready a recipe's supervised training on the whole base."""
    import torch

    from lotterybench.kinds.data import tensors
    from lotterybench.kinds.stages.training import learner_of
    from lotterybench.manifests import find_base
    from lotterybench.methods.base.data import Resident
    from lotterybench.studies import Recipe

    base, _ = find_base(stage.settings["base"])
    images, labels = tensors(base.id, "train", stage.settings["resolution"], device)
    data = Resident(images, labels, torch.arange(len(labels), device=images.device))
    task = Task(data, len(base.class_names), base.mirror, stage.key)
    return task, learner_of(task, Recipe(**stage.settings["recipe"]))
