"""The one training loop: shuffled batches, warm-up and cosine, whatever the objective."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from timm.optim._optim_factory import create_optimizer_v2
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base import checkpoint, ranks
from lotterybench.methods.base.data import Batch, Share, batch_sizes
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.observe import Observer
from lotterybench.methods.base.shape import Epoch, Learner, Schedule, Task, Trained

FUSED = {"sgd", "momentum", "adam", "adamw"}  # torch's own; timm's others refuse the option
WARM_UP = 0.1  # of all steps, so that a shorter training ends its decay on time


ALONE = Share()


class Diverged(ValueError):
    """The training loss is no longer a finite number."""


@dataclass(frozen=True)
class Engine:
    """How a training is carried out; none of it is the method's.

    `precision` bf16 computes forward passes in bfloat16 (weights stay float32). `compiled` runs
    the objective through torch.compile. `checkpoint` is a file in which the training is kept
    about every `every` seconds and from which it goes on. `share` is this process's part.
    """

    precision: Literal["fp32", "bf16"] = "fp32"
    compiled: bool = False
    checkpoint: Path | None = None
    every: float = 60.0
    observers: Sequence[Observer] = ()
    share: Share = ALONE


def train(task: Task, made: Learner | Trained, engine: Engine | None = None) -> Trained:
    """Train what a method has made ready; what is trained already is returned as it is.

    Raises `Diverged` after an epoch whose loss was not finite, and `BadRequest` for no epochs or
    fewer than two images, of which batch norms can make nothing.
    """
    if isinstance(made, Trained):
        return made
    with _own_randomness(task):
        curve = _fit(task, made, engine or Engine())
    seen = made.seen() if made.seen else len(curve) * task.data.count * made.views
    return Trained(made.encoder, made.classifier, seen, tuple(curve))


def _fit(task: Task, learner: Learner, engine: Engine) -> list[Epoch]:
    plan, count = learner.schedule, task.data.count
    if plan.epochs - plan.begin < 1 or count < 2:
        raise BadRequest(
            f"{plan.epochs - plan.begin} epochs of {count} images; take at least 1 epoch of 2 "
            "images"
        )
    sizes, share = batch_sizes(count, plan.batch), engine.share
    per_epoch = len(sizes)
    steps = plan.epochs * per_epoch
    ranks.prepare(learner, share, sizes)
    optimizer = make_optimizer(learner.net, plan)
    objective = _objective(learner, engine)
    order, augment = task.generator("order"), task.generator("augment")
    place = checkpoint.load(engine.checkpoint, task, learner.net, optimizer, engine.observers)
    curve, total, skip = place.curve, place.total, place.batches
    ranks.check_place(place, share)
    saved = time.monotonic()
    learner.net.train()
    file = engine.checkpoint if share.rank == 0 else None
    rate_of = plan.rate or warm_cosine
    for epoch in range(max(place.epoch, plan.begin), plan.epochs):
        began = order.get_state()
        batches = task.data.epoch(epoch, plan.batch, order, share, skip)
        for number, (*held, whole) in enumerate(batches, skip):
            part, weight = ranks.taken(learner, share, whole)
            images, labels, rows = (of[: part.stop - part.start] for of in held)
            draws = Draws(augment, whole, part)
            batch = Batch(images, labels, rows, draws, epoch, epoch * per_epoch + number, steps)
            rate = plan.lr * rate_of(batch.step, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss, outputs = objective(batch)
            if weight != 1:
                loss = loss * weight
            loss.backward()  # type: ignore[no-untyped-call]
            if learner.after_backward is not None:
                learner.after_backward(batch)
            if plan.clip is not None:
                nn.utils.clip_grad_norm_(learner.net.parameters(), plan.clip, foreach=True)
            for observer in engine.observers:
                observer.batch(epoch, rows, outputs)
            optimizer.step()
            if learner.after_step is not None:
                learner.after_step(batch)
            total = total + ranks.mean(loss, share)
            if file is not None and time.monotonic() - saved >= engine.every:
                here = checkpoint.Place(epoch, number + 1, total, curve)
                checkpoint.save(file, task, learner.net, optimizer, here, began, engine.observers)
                saved = time.monotonic()
        mean = total.item() / per_epoch  # one look per epoch: each waits for the device
        if not math.isfinite(mean):
            raise Diverged(
                f"the loss was not finite in epoch {epoch + 1} of {plan.epochs} (lr {plan.lr:g})"
            )
        last = plan.lr * rate_of((epoch + 1) * per_epoch - 1, steps)
        curve.append(Epoch(epoch + 1, mean, last))
        total, skip = torch.zeros_like(total), 0
        if _show(learner, engine.observers, epoch):
            break
    learner.net.eval()
    return curve


def make_optimizer(net: nn.Module, plan: Schedule) -> torch.optim.Optimizer:
    """Return timm's optimiser over the parameters of `net` that want a gradient.

    One that gets none in a step keeps its value, and may get one in a later step.
    """
    settings: dict[str, Any] = {"lr": plan.lr, "weight_decay": plan.weight_decay, "momentum": 0.9}
    if plan.optimiser in FUSED:
        settings["fused"] = True
    made: torch.optim.Optimizer = create_optimizer_v2(net, opt=plan.optimiser, **settings)
    if isinstance(made, torch.optim.SGD):  # fused, it takes no parameter that joins others later
        for parameter in (p for group in made.param_groups for p in group["params"]):
            made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return made


def _objective(learner: Learner, engine: Engine) -> Callable[[Batch], tuple[Tensor, Tensor | None]]:
    """Return the learner's loss as (loss, outputs or None), in the engine's precision."""
    loss = torch.compile(learner.loss) if engine.compiled else learner.loss
    if engine.share.world > 1:
        loss = ranks.distributed(learner, loss)
    kind = next(learner.net.parameters()).device.type

    def objective(batch: Batch) -> tuple[Tensor, Tensor | None]:
        with torch.autocast(kind, torch.bfloat16, enabled=engine.precision == "bf16"):
            found = loss(batch)
        if isinstance(found, Tensor):
            return found, None
        return found[0], found[1].detach()

    return objective


@torch.no_grad()
def _show(learner: Learner, observers: Sequence[Observer], epoch: int) -> bool:
    """Let observers see the network in evaluation mode; say whether one ends the training."""
    if not observers:
        return False
    learner.net.eval()
    said = [observer.epoch(epoch, learner.encoder, learner.classifier) for observer in observers]
    learner.net.train()
    return any(said)


@contextmanager
def _own_randomness(task: Task) -> Iterator[None]:
    """Let torch's global generators start at the task's stream `net`, and restore them.

    Dropout, stochastic depth and masks draw from them.
    """
    cuda = [task.device] if task.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(task.stream("net"))
        yield


def warm_cosine(done: int, steps: int) -> float:
    """Return the learning rate after `done` of `steps` steps, as a part of its peak.

    It rises linearly over the first tenth (at least one step) and falls to 0 as half a cosine
    (Loshchilov and Hutter 2017).
    """
    rise = math.ceil(WARM_UP * steps)
    if done < rise:
        return (done + 1) / rise
    return (1 + math.cos(math.pi * (done - rise) / max(1, steps - rise))) / 2
