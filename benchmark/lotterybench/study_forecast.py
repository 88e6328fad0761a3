"""What a study's stages would cost here at most, from a short calibration on this device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lotterybench.executors.devices import choose_device
from lotterybench.forecast import Clock, Enough, Outlook
from lotterybench.kinds.data import tensors
from lotterybench.kinds.stages import Stage, left_of
from lotterybench.kinds.workers import workers
from lotterybench.manifests import find_base
from lotterybench.paths import stages_folder
from lotterybench.progress import bar
from lotterybench.run_study import planned_stages
from lotterybench.studies import Recipe, Study

Pace = float  # seconds of one worker for an image that is trained on


def study_outlook(
    study: Study, out: Path, *, seeds: int | None = None, device: str = "auto",
    jobs: int | None = None,
) -> list[Outlook]:  # fmt: skip
    """Return what is left of each kind of stage, and what it takes here at most.

    A training that ends early, or on fewer samples than all, takes less. Each recipe trains for
    about a second; looking at images without training on them is left out.
    """
    stages = planned_stages(study, seeds)
    left = left_of(stages, stages_folder(out / study.name))
    paces = _paces(left, choose_device(device))
    team = workers(jobs)
    rows = []
    for kind in dict.fromkeys(stage.does for stage in stages):
        todo = [stage for stage in left if stage.does == kind]
        planned = sum(stage.does == kind for stage in stages)
        seconds = sum(stage.images * paces.get(_recipe_of(stage), 0.0) for stage in todo)
        images = sum(stage.images for stage in todo)
        rows.append(Outlook(kind, planned, planned - len(todo), images, seconds / team))
    return rows


def _recipe_of(stage: Stage) -> str:
    """Return what decides a stage's pace: base, resolution and recipe, as JSON."""
    names = ("base", "resolution", "recipe")
    return json.dumps([stage.settings.get(name) for name in names], sort_keys=True)


def _paces(stages: Sequence[Stage], device: str) -> dict[str, Pace]:
    firsts: dict[str, Stage] = {}
    for stage in stages:
        if stage.images:
            firsts.setdefault(_recipe_of(stage), stage)
    timed = bar(firsts.items(), len(firsts), "timing")
    return {name: _pace(stage, device) for name, stage in timed}


def _pace(stage: Stage, device: str) -> Pace:
    """Train a recipe for a moment, on one thread."""
    import torch

    from lotterybench.kinds.stages.training import learner_of
    from lotterybench.methods import Task
    from lotterybench.methods.base.data import Resident
    from lotterybench.methods.base.loop import Diverged, Engine, train

    base, _ = find_base(stage.settings["base"])
    images, labels = tensors(base.id, "train", stage.settings["resolution"], device)
    data = Resident(images, labels, torch.arange(len(labels), device=images.device))
    task = Task(data, len(base.class_names), base.mirror, stage.key)
    threads, clock = torch.get_num_threads(), Clock(images.device)
    if not device.startswith("cuda"):
        torch.set_num_threads(1)
    try:
        learner = learner_of(task, Recipe(**stage.settings["recipe"]))
        with suppress(Enough, Diverged):
            train(task, learner, Engine(observers=(clock,)))
        return clock.per_row()
    finally:
        torch.set_num_threads(threads)
