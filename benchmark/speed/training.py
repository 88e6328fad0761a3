"""SimCLR's speed against lightly's loader and against bare steps; airbench's loader against ours.

Images are noise: no arm's time depends on what they show. Arms take turns, so that a busy machine
slows all of them; what is said of ratios is that of the best rounds, and of the rounds' own the
least and the median. Needs no data:

    python benchmark/speed/training.py [--quick] [--device cuda] [--threads 2]
"""

import argparse
import copy
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import repeat
from typing import Any

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.models.utils import update_momentum
from lightly.transforms import SimCLRTransform
from PIL import Image
from timing import SIDE, Arms, Setting, measure, task_of
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.contrast import among_views
from lotterybench.methods.base.data import Batch, Resident, Share
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.loop import make_optimizer, train
from lotterybench.methods.base.shape import Learner, Schedule, Task
from lotterybench.provenance import processor, versions

MODEL = 20 * 4_000  # source images of one model: 20 epochs of 4,000


class SimCLR:
    """The model and the objective that all arms share."""

    def __init__(self, task: Task, batch: int, backbone: str, width: float) -> None:
        self.body = encoder(backbone, task, width)
        with seeded(0):
            projector = SimCLRProjectionHead(dimension(self.body), dimension(self.body), 64)
        self.net = nn.Sequential(self.body, projector).to(task.device).train()
        self.device = task.device.type
        self.schedule = Schedule(1, 0.01, batch, "sgd", 5e-4)

    def loss(self, views: Tensor) -> Tensor:
        """Return the loss of views, all first ones before all second ones."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device != "cpu"):
            projected = self.net(views)
        return contrast(projected.float())

    def learner(self, views: Callable[[Batch], Tensor]) -> Learner:
        """Return what our engine trains on the views that are made of each batch."""
        return Learner(self.body, self.net, lambda each: self.loss(views(each)), self.schedule, 2)

    def steps(self, batches: Iterable[Tensor]) -> None:
        """Take a step on each batch of views, and do nothing else."""
        optimizer = make_optimizer(self.net, self.schedule)
        self.net.train()  # a training ends in evaluation mode, which is faster
        for views in batches:
            optimizer.zero_grad()
            self.loss(views).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def contrast(projected: Tensor) -> Tensor:
    """Return SimCLR's loss of projected views, all first ones before all second ones."""
    return among_views(*projected.chunk(2), 0.5, decoupled=False)


def ours(batch: Batch) -> Tensor:
    """Return our views of a batch."""
    return two_views(batch.images, mirror=True, draws=batch.draws)


def our_epoch(task: Task, batch: int) -> Iterator[Tensor]:
    """Yield views of shuffled batches as our engine makes them."""
    order, augment = task.generator("order"), task.generator("augment")
    for images, _, _, whole in task.data.epoch(0, batch, order, Share(), 0):
        yield two_views(images, mirror=True, draws=Draws(augment, whole))


class Pictures(Dataset[Any]):
    """PIL's images through lightly's transform: crops, colours and normalising as in ours."""

    def __init__(self, data: Resident) -> None:
        self.pixels = data.images.cpu().permute(0, 2, 3, 1).contiguous().numpy()
        scale = {"mean": [0.5] * 3, "std": [0.25] * 3}
        self.transform = SimCLRTransform(
            SIDE, cj_strength=0.5, min_scale=0.2, gaussian_blur=0.0, normalize=scale
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Any:
        return self.transform(Image.fromarray(self.pixels[index]))


def lightlys_epoch(data: Resident, batch: int, workers: int) -> Iterator[Tensor]:
    """Yield views of shuffled batches as lightly's transform and torch's loader make them."""
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(Pictures(data), batch, shuffle=True, generator=order, num_workers=workers)
    for pair in loader:
        yield torch.cat(pair).to(data.device)


def workers_of(setting: Setting) -> list[int]:
    """Return the numbers of loader processes worth trying: 0, half of the threads, all."""
    return sorted({0, max(1, setting.threads // 2), setting.threads})


def drain(batches: Iterable[Tensor]) -> None:
    """Make every batch and drop it."""
    for _ in batches:
        pass


def augmentation(setting: Setting) -> dict[str, Any]:
    """Measure shuffling and making views alone, an epoch a round."""
    task, data = task_of(setting)
    arms: Arms = {"ours": lambda: drain(our_epoch(task, setting.batch))}
    for workers in workers_of(setting):
        arms[f"lightly, {workers} workers"] = partial(
            lambda workers: drain(lightlys_epoch(data, setting.batch, workers)), workers
        )
    return measure(arms, setting)


def simclr(setting: Setting, backbone: str, width: float, lightly: bool = False) -> dict[str, Any]:
    """Measure SimCLR end to end, an epoch a round, against the same steps fed otherwise."""
    task, data = task_of(setting)
    model = SimCLR(task, setting.batch, backbone, width)
    fixed, steps = next(our_epoch(task, setting.batch)), setting.images // setting.batch
    arms: Arms = {
        "ours": lambda: train(task, model.learner(ours)),
        "our loop on fixed views": lambda: train(task, model.learner(lambda _: fixed)),
        "bare steps on fixed views": lambda: model.steps(repeat(fixed, steps)),
    }
    for workers in workers_of(setting) if lightly else []:
        arms[f"lightly, {workers} workers"] = partial(
            lambda workers: model.steps(lightlys_epoch(data, setting.batch, workers)), workers
        )
    parameters = sum(each.numel() for each in model.net.parameters())
    return {"parameters": parameters, **measure(arms, setting)}


def pieces(setting: Setting) -> dict[str, float]:
    """Return what parts of a step cost, as shares of a bare step: least processor times."""
    task, data = task_of(setting)
    model = SimCLR(task, setting.batch, "resnet", 0.5)
    optimizer = make_optimizer(model.net, model.schedule)
    fixed, teacher = next(our_epoch(task, setting.batch)), copy.deepcopy(model.net)
    lightlys = NTXentLoss(0.5)
    projected = torch.randn(len(fixed), 64, device=setting.device, requires_grad=True)
    images, draws = data.images[: setting.batch], Draws(task.generator("augment"), setting.batch)

    work: Arms = {
        "step": lambda: model.steps([fixed]),
        "two_views": lambda: two_views(images, mirror=True, draws=draws),
        "views to channels_last": lambda: fixed.contiguous(memory_format=torch.channels_last),
        "SimCLR's loss": lambda: contrast(projected).backward(),  # type: ignore[no-untyped-call]
        "lightly's, of the same value": lambda: lightlys(*projected.chunk(2)).backward(),
        "optimiser": optimizer.step,
        "zero_grad": optimizer.zero_grad,
        "lightly's update of a teacher": lambda: update_momentum(model.net, teacher, 0.99),
    }
    least = dict.fromkeys(work, float("inf"))
    for _ in range(3 * setting.rounds):
        model.loss(fixed).backward()  # type: ignore[no-untyped-call]  # gradients to step by
        for name in ("optimiser", *work):
            start = time.process_time()
            work[name]()
            setting.wait()
            least[name] = min(least[name], time.process_time() - start)
    return {name: round(took / least["step"], 4) for name, took in least.items() if name != "step"}


def member(setting: Setting, start: Any, found: Any) -> None:
    """Train as one of several processes; put the images and the seconds it took."""
    torch.set_num_threads(setting.threads)
    task, _ = task_of(setting)
    learner = SimCLR(task, setting.batch, "resnet", 0.5).learner(ours)
    train(task, learner)
    start.wait()
    began = time.perf_counter()
    for _ in range(setting.rounds):
        train(task, learner)
    setting.wait()
    found.put((setting.rounds * setting.images, time.perf_counter() - began))


def processes(setting: Setting) -> dict[str, Any]:
    """Measure trainings side by side: on a CPU they share the threads, else the device."""
    spawn, on_cpu = multiprocessing.get_context("spawn"), setting.device == "cpu"
    report = {}
    for count in sorted({1, setting.threads}) if on_cpu else (1, 2, 4, 8):
        part = setting._replace(threads=setting.threads // count if on_cpu else 1)
        start, found = spawn.Barrier(count), spawn.Queue()
        team = [spawn.Process(target=member, args=(part, start, found)) for _ in range(count)]
        for process in team:
            process.start()
        done = [found.get(timeout=600) for _ in team]
        for process in team:
            process.join()
        rate = sum(images for images, _ in done) / max(seconds for _, seconds in done)
        report[f"processes {count}, threads of each {part.threads}"] = {
            "images/s": round(rate, 1), "models/hour": round(3600 * rate / MODEL, 1)
        }  # fmt: skip
    return report


def supervised(setting: Setting) -> Any:
    """Measure airbench's network under its loader and ours, where airbench is installed."""
    if find_spec("airbench") is None:
        return "airbench is not installed"
    from airbench_loader import airbench

    return airbench(setting)


def main() -> None:
    """Measure everything and print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny rounds, to see that it runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    light = Setting(asked.device, asked.threads, images=4_096, batch=256, rounds=7)
    heavy = light._replace(images=16_384)
    if asked.device == "cpu":
        heavy = light._replace(images=128, batch=64, rounds=3)
    if asked.quick:
        light = heavy = light._replace(images=16, batch=8, rounds=1)
    named = {"gpu": torch.cuda.get_device_name(asked.device)} if asked.device != "cpu" else {}
    report = {
        "processor": processor(), "cores": os.cpu_count(), **named,
        "software": versions("torch", "torchvision", "timm", "lightly", "pillow"),
        "light": light._asdict(), "heavy": heavy._asdict(),
        "augmentation alone": augmentation(light),
        "SimCLR, resnet of width 16": simclr(light, "resnet", 0.5, lightly=True),
        "SimCLR, resnet20": simclr(light._replace(rounds=min(3, light.rounds)), "resnet20", 1.0),
        "SimCLR, resnet18 (heavy)": simclr(heavy, "resnet18", 1.0),
        "parts of the first's bare step": pieces(light),
        "the first, in processes": processes(light._replace(rounds=min(2, light.rounds))),
        "supervised, airbench's network (heavy)": supervised(heavy),
    }  # fmt: skip
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
