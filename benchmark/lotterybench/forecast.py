"""What runs would cost here: images and seconds, from a short calibration on this device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lotterybench.executors.devices import choose_device, spread
from lotterybench.kinds.exact import plan_of
from lotterybench.kinds.exact.forecast import prices
from lotterybench.kinds.exact.training import load_pool
from lotterybench.kinds.exact.workers import workers
from lotterybench.kinds.ranking import engine_of, task_of
from lotterybench.kinds.runs import Conduct, Run
from lotterybench.kinds.stacked import is_stacked
from lotterybench.kinds.stacked import prices as prices_in_stacks
from lotterybench.manifests import find_base
from lotterybench.methods import Trained, method
from lotterybench.methods.base.observe import Observer
from lotterybench.progress import bar
from lotterybench.results import read
from lotterybench.run import Arm
from lotterybench.trials import Track

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SECONDS = 1.0  # of training that a calibration takes at least, beyond the first batch


@dataclass(frozen=True)
class Pace:
    """How fast one configuration goes: seconds per image trained on, and per image encoded.

    `views` images go through the network for each row; `neighbours` are the seconds of the k-NN.
    """

    train: float
    encode: float
    views: int
    neighbours: float


class Price(NamedTuple):
    """What a run costs: images through the network in training, and seconds of one worker."""

    images: int
    seconds: float


class Outlook(NamedTuple):
    """What is left of an arm: runs planned and done, images, and seconds with all workers."""

    arm: str
    runs: int
    done: int
    images: int
    seconds: float


def outlook(
    arms: Sequence[Arm], device: str, jobs: int | None = None, conduct: Conduct | None = None
) -> list[Outlook]:
    """Return what is left of each arm of a plan, and what it takes here; nothing is written."""
    stacked = any(is_stacked(run.track) for arm in arms for run in arm.runs[:1])
    device = "cpu" if stacked else choose_device(device)
    left: dict[Path, list[Run]] = {}
    for arm in arms:
        done = {result.key for result in read(arm.file) if result.status != "infra"}
        left[arm.file] = [run for run in arm.runs if run.key not in done]
    todo = [run for runs in left.values() for run in runs]
    prices = dict(zip([r.key for r in todo], forecast(todo, device, conduct), strict=True))
    workers = max(1, len(spread(device, jobs, len(todo))))
    return [
        Outlook(
            arm.subset.ref if arm.subset else str(arm.cheaper or "full"),
            len(arm.runs),
            len(arm.runs) - len(left[arm.file]),
            sum(prices[run.key].images for run in left[arm.file]),
            sum(prices[run.key].seconds for run in left[arm.file]) / workers,
        )
        for arm in arms
    ]


def enumeration_outlook(
    track: Track, out: Path, seeds: int | None = None, jobs: int | None = None,
    classes: Sequence[int] | None = None,
) -> list[Outlook]:  # fmt: skip
    """Return what is left of each part of an exact track, its runs being models."""
    parts = plan_of(track, out, seeds=seeds, counts=classes)
    team = workers(jobs)
    return [
        Outlook(
            part.name,
            part.planned,
            part.planned - price.models,
            price.images,
            price.seconds / team,
        )
        for part, price in zip(parts, prices(parts, load_pool(track)), strict=True)
    ]


def forecast(runs: Sequence[Run], device: str, conduct: Conduct | None = None) -> list[Price]:
    """Return the price of each run, in their order.

    Each configuration trains for about a second on the data of its first run. Evaluation counts
    as the encoding of the images that it reads and the k-NN; the linear probe and the start of the
    workers are left out. On a CPU one thread computes, as in a worker. Of runs in stacks one stack
    of each backbone is timed.
    """
    if runs and is_stacked(runs[0].track):
        return [Price(*price) for price in prices_in_stacks(runs)]
    conduct = conduct or Conduct()
    firsts: dict[str, Run] = {}
    for run in runs:
        firsts.setdefault(run.configuration.name, run)
    timed = bar(firsts.items(), len(firsts), "timing")
    paces = {name: _pace(run, device, conduct) for name, run in timed}
    return [_price(run, paces[run.configuration.name], device, conduct) for run in runs]


def _price(run: Run, pace: Pace, device: str, conduct: Conduct) -> Price:
    rows = task_of(run, device, conduct).data.count
    images = rows * int(run.config.get("epochs", 0)) * pace.views
    splits = find_base(run.track.base)[0].splits
    train, test = splits["train"].rows, splits["test"].rows
    seconds = images * pace.train + test * pace.encode
    if run.track.probe != "classifier":
        seconds += train * pace.encode + pace.neighbours
    if run.track.probe == "finetuned":
        from lotterybench.methods.base.finetune import EPOCHS

        seconds += EPOCHS * train * pace.train
    return Price(images, seconds)


def _pace(run: Run, device: str, conduct: Conduct) -> Pace:
    """Train for a moment and encode a little."""
    import torch

    from lotterybench.methods.base.loop import Diverged, train
    from lotterybench.methods.base.own import load_own

    for where in conduct.own:
        load_own(where)
    threads = torch.get_num_threads()
    if not device.startswith("cuda"):
        torch.set_num_threads(1)
    try:
        task = task_of(run, device, conduct)
        made = method[run.configuration.method](task, **run.config)
        views, step = 0, 0.0
        if not isinstance(made, Trained):
            clock = Clock(task.device)
            engine = replace(engine_of(run, device, conduct), checkpoint=None, observers=(clock,))
            with suppress(Enough, Diverged):
                train(task, made, engine)
            views, step = made.views, clock.per_row() / made.views
        encode, size = _encoding(made.encoder, task.data.shape, task.device)
        neighbours = 0.0
        if run.track.probe != "classifier":
            splits = find_base(run.track.base)[0].splits
            neighbours = _neighbours(splits["train"].rows, splits["test"].rows, size, task.device)
        return Pace(step, encode, views, neighbours)
    finally:
        torch.set_num_threads(threads)


class Enough(Exception):
    """The calibration has seen enough."""


class Clock(Observer):
    """An observer that times batches and ends the training after `SECONDS`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.moments: list[float] = [time.perf_counter()]
        self.rows: list[int] = [0]

    def batch(self, epoch: int, rows: Tensor, outputs: Tensor | None) -> None:
        """Note the moment; raise `Enough` once there was enough."""
        _wait(self.device)
        self.moments.append(time.perf_counter())
        self.rows.append(self.rows[-1] + len(rows))
        if len(self.moments) > 3 and self.moments[-1] - self.moments[1] > SECONDS:
            raise Enough

    def per_row(self) -> float:
        """Return the seconds of a row, without the first batch if there is another."""
        first = 1 if len(self.moments) > 2 else 0
        passed = self.moments[-1] - self.moments[first]
        return passed / max(1, self.rows[-1] - self.rows[first])


def _encoding(
    encoder: nn.Module, shape: tuple[int, int, int], device: torch.device, count: int = 512
) -> tuple[float, int]:
    """Return the seconds of encoding one image, and the number of features."""
    import torch

    from lotterybench.methods.base.probes import features

    images = torch.zeros(count, *shape, dtype=torch.uint8, device=device)
    encoder.eval()
    features(encoder, images)
    start = time.perf_counter()
    size = int(features(encoder, images).shape[1])
    _wait(device)
    return (time.perf_counter() - start) / count, size


def _neighbours(train: int, test: int, size: int, device: torch.device) -> float:
    """Return the seconds of the k-NN between splits of this size, from a few of its queries."""
    import torch

    from lotterybench.methods.base.probes import knn

    few = min(256, test)
    bank = torch.ones(train, size, device=device)
    labels = torch.zeros(train, dtype=torch.int64, device=device)
    start = time.perf_counter()
    knn(bank, labels, bank[:few], labels[:few], classes=1)
    _wait(device)
    return (time.perf_counter() - start) * test / few


def _wait(device: torch.device) -> None:
    """Wait for an accelerator to finish what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
