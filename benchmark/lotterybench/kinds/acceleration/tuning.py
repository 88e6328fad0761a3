"""Trials of a base method's learning rate, on training images alone (protocol §10)."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from lotterybench.kinds.acceleration.probing import encoded
from lotterybench.kinds.acceleration.sampling import drawn
from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.kinds.acceleration.teaching import learner_of, steps_of
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.transfer.parts import Part
from lotterybench.methods.base.loop import Diverged, train
from lotterybench.methods.base.probes import knn
from lotterybench.methods.base.redrawn import Redrawn
from lotterybench.storage import write_whole

FILE = "rate.json"
HELD = 10  # one training image in so many is held out to judge a rate


def tuning_of(stage: Stage, here: Here) -> Made:
    """Train without targets on the primary budget at one rate; judge it on held-out images.

    They are every tenth training image, and none of the others is a test image. A training that
    diverges is worth 0 %.
    """
    setting = Setting(stage, here)
    kept, held = halves(setting.train.rows)
    whole = setting.train
    data = Redrawn(
        whole.images, whole.labels,
        drawn(setting, kept, setting.settings["budget"], anew=True),
    )  # fmt: skip
    training, task = setting.training(), setting.task(data)
    learner = learner_of(training, task)
    try:
        trained = train(task, learner, setting.engine())
    except Diverged:
        return _judged(here, training.lr, 0.0, Made())
    bank, queries = (
        encoded(trained.encoder, Part(whole.images, whole.labels, rows)) for rows in (kept, held)
    )
    made = Made(
        images=trained.images_seen, looked=len(kept) + len(held),
        steps=steps_of(training, data.count),
    )  # fmt: skip
    return _judged(here, training.lr, knn(*bank, *queries, classes=setting.classes), made)


def rate_of(stage: Stage, here: Here) -> Made:
    """Choose the rate that did best, the lower of equals."""
    tried = [_read(here.needs[role]) for role in sorted(here.needs)]
    lr, worth = max(tried, key=lambda one: (one[1], -one[0]))
    return _judged(here, lr, worth, Made())


def chosen_rate(needs: dict[str, Path]) -> float | None:
    """Return the rate that a stage's need chose; None if rates were not tried."""
    return _read(needs["rate"])[0] if "rate" in needs else None


def halves(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows to train on and rows held out: one in ten, by their order of keys."""
    held = torch.arange(len(rows), device=rows.device) % HELD == 0
    return rows[~held], rows[held]


def _judged(here: Here, lr: float, worth: float, made: Made) -> Made:
    write_whole(here.folder / FILE, json.dumps({"lr": lr, "knn": worth}).encode())
    return Made({"lr": lr, "knn": worth}, images=made.images, looked=made.looked, steps=made.steps)


def _read(folder: Path) -> tuple[float, float]:
    held = json.loads((folder / FILE).read_bytes())
    return held["lr"], held["knn"]
