"""What a stage of a study of accelerated training trains, to time it: its method alone."""

from __future__ import annotations

from pathlib import Path

from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.kinds.acceleration.teaching import learner_of
from lotterybench.kinds.stages import Here, Stage
from lotterybench.methods import Learner, Task


def of_stage(stage: Stage, device: str) -> tuple[Task, Learner]:
    """Make ready a stage's method without targets; stage 1 takes less, as it has no teacher."""
    setting = Setting(stage, Here(Path(), {}, device))
    task = setting.task(setting.data())
    return task, learner_of(setting.training(), task)
