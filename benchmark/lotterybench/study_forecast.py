"""What a study's stages would cost here at most, from a short calibration on this device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lotterybench.executors.devices import choose_device
from lotterybench.forecast import Clock, Enough, Outlook
from lotterybench.kinds.rehearsal import pace_of, rehearse
from lotterybench.kinds.stages import Stage, left_of
from lotterybench.kinds.workers import workers
from lotterybench.paths import stages_folder
from lotterybench.progress import bar
from lotterybench.run_study import planned_stages
from lotterybench.studies import Study

Pace = float  # seconds of one worker for an image that is trained on


def study_outlook(
    study: Study, out: Path, *, seeds: int | None = None, device: str = "auto",
    jobs: int | None = None,
) -> list[Outlook]:  # fmt: skip
    """Return what is left of each kind of stage, and what it takes here at most.

    A training that ends early, or on fewer samples than all, takes less. What is trained is
    trained for about a second; looking at images without training on them is left out.
    """
    stages = planned_stages(study, seeds)
    left = left_of(stages, stages_folder(out / study.name))
    paces = _paces(study, left, choose_device(device))
    team = workers(jobs)
    rows = []
    for kind in dict.fromkeys(stage.does for stage in stages):
        todo = [stage for stage in left if stage.does == kind]
        planned = sum(stage.does == kind for stage in stages)
        seconds = sum(stage.images * paces.get(pace_of(stage), 0.0) for stage in todo)
        images = sum(stage.images for stage in todo)
        rows.append(Outlook(kind, planned, planned - len(todo), images, seconds / team))
    return rows


def _paces(study: Study, stages: Sequence[Stage], device: str) -> dict[str, Pace]:
    firsts: dict[str, Stage] = {}
    for stage in stages:
        if stage.images:
            firsts.setdefault(pace_of(stage), stage)
    timed = bar(firsts.items(), len(firsts), "timing")
    return {name: _pace(study, stage, device) for name, stage in timed}


def _pace(study: Study, stage: Stage, device: str) -> Pace:
    """Train as a stage does for a moment, on one thread."""
    import torch

    from lotterybench.methods.base.loop import Diverged, Engine, train

    threads = torch.get_num_threads()
    if not device.startswith("cuda"):
        torch.set_num_threads(1)
    try:
        task, learner = rehearse[study.kind](stage, device)
        clock = Clock(task.device)
        with suppress(Enough, Diverged):
            train(task, learner, Engine(observers=(clock,)))
        return clock.per_row()
    finally:
        torch.set_num_threads(threads)
