"""Time pieces of work in turn, on images that are noise; what speed scripts of training share."""

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.shape import Task

SIDE, CLASSES = 32, 10
Arms = dict[str, Callable[[], object]]


class Setting(NamedTuple):
    """What is measured: epochs of `images` images in batches of `batch`, in so many rounds."""

    device: str
    threads: int
    images: int
    batch: int
    rounds: int

    def wait(self) -> None:
        """Wait until the device has done what it was asked for."""
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)


def task_of(setting: Setting) -> tuple[Task, Resident]:
    """Return a training on noise, and its images."""
    noise = torch.Generator().manual_seed(0)
    shape = (setting.images, 3, SIDE, SIDE)
    images = torch.randint(256, shape, generator=noise, dtype=torch.uint8).to(setting.device)
    rows = torch.arange(setting.images, device=setting.device)
    data = Resident(images, rows % CLASSES, rows)
    return Task(data, CLASSES, mirror=True, run="speed"), data


def measure(arms: Arms, setting: Setting) -> dict[str, Any]:
    """Time arms in turn, each one epoch a round; the first is compared with the others."""
    wall: dict[str, list[float]] = {name: [] for name in arms}
    busy: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(setting.rounds + 1):
        for name, arm in arms.items():
            began, used = time.perf_counter(), processor_seconds()
            arm()
            setting.wait()
            if turn:  # the first warms up
                wall[name].append(time.perf_counter() - began)
                busy[name].append(processor_seconds() - used)
    first, *others = arms
    report: dict[str, Any] = {
        "images/s": {name: round(setting.images / min(taken), 1) for name, taken in wall.items()}
    }
    for name in others:
        rounds = [other / own for own, other in zip(wall[first], wall[name], strict=True)]
        found = {
            "best rounds": min(wall[name]) / min(wall[first]),
            "least": min(rounds),
            "median": statistics.median(rounds),
            "best by processor time": min(busy[name]) / min(busy[first]),
        }
        report[f"{first} / {name}"] = {key: round(value, 3) for key, value in found.items()}
    return report


def processor_seconds() -> float:
    """Return the processor time of this process and of its ended children."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
