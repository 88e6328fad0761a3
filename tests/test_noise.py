"""No two arms share noise: paired residuals of real trainings are uncorrelated."""

import numpy as np
import pytest
import torch
from test_run import REFS, SMALL

from lotterybench.kinds.ranking import task_of
from lotterybench.methods import method
from lotterybench.methods.base import probes
from lotterybench.methods.base.loop import train
from lotterybench.run import plan
from lotterybench.sources import images
from lotterybench.trials import Configuration

SEEDS = 24
CHANCE = 0.71  # a correlation of 24 independent pairs exceeds this once in 10,000


def scores(runs, shared=False):
    """Return the test accuracy after one epoch of each run; `shared` gives all one noise."""
    test = images("digits", "test")
    pixels = torch.from_numpy(test.pixels.transpose(0, 3, 1, 2).copy())
    found = []
    for run in runs:
        task = task_of(run, "cpu")
        if shared:
            task = type(task)(task.data, task.classes, task.mirror, f"seed {run.seed}")
        trained = train(task, method[run.configuration.method](task, **run.configuration.config))
        found.append(probes.accuracy(trained, pixels, torch.from_numpy(test.labels.copy())))
    return np.array(found)


@pytest.mark.slow
def test_paired_residuals_are_uncorrelated(tmp_path):
    """Between two methods on the same data, and between full data and a subset, seed by seed."""
    pair = [
        Configuration(
            name=f"lr{lr}", family="supervised/resnet", method="supervised",
            config={"backbone": "resnet", "lr": lr, "epochs": 1, "batch": 64},
        )
        for lr in (0.05, 0.0501)
    ]  # fmt: skip
    track = SMALL.model_copy(update={"configurations": pair})
    arms = plan(track, tmp_path, subsets=[REFS[0]], seeds=SEEDS)
    drawn = {
        (arm.file.stem, name): [run for run in arm.runs if run.configuration.name == name]
        for arm in arms
        for name in ("lr0.05", "lr0.0501")
    }
    (first, second), subset = (
        [scores(drawn["full", name]) for name in ("lr0.05", "lr0.0501")],
        scores(drawn["uniform-10pct-v1", "lr0.05"]),
    )
    assert first.std() > 0 and subset.std() > 0
    assert abs(np.corrcoef(first, second)[0, 1]) < CHANCE
    assert abs(np.corrcoef(first, subset)[0, 1]) < CHANCE
    # what shared noise would look like, so that the test can fail
    alike = [scores(drawn["full", name], shared=True) for name in ("lr0.05", "lr0.0501")]
    assert np.corrcoef(*alike)[0, 1] > CHANCE
