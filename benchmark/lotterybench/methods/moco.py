"""MoCo (He et al. 2020; Chen et al. 2020, 2021): keys come from a slowly moving teacher."""

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import MoCoProjectionHead
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.contrast import among_batch, among_negatives
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.momentum import following, teacher_of
from lotterybench.methods.base.plan import in_float32, plan
from lotterybench.methods.base.queue import Queue, at_most
from lotterybench.methods.base.shape import Learner, Schedule, Task

LEAST = 8  # images of a group: a batch norm over fewer would be noise


def v1(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 128,
    temperature: float = 0.07,
    weight_decay: float | None = None,
    queue: int = 4096,
    momentum: float = 0.99,
    groups: int = 2,
    smallest: float = 0.2,
    strength: float = 1.0,
) -> Learner:
    """Train a backbone with a linear head against a queue of keys of past batches.

    `queue` is the number of negatives, at most half of the images. `momentum` is the teacher's
    at first and rises to 1; the paper's .999 needs more steps than these trainings have. `groups`
    is how many parts of a batch have batch norms of their own, keys shuffled (section 3.3): else
    a query and its key, and no negative, share their batch's statistics. Two global views,
    without blur; `smallest` is the least part of the image's area that one shows, `strength`
    scales its colour jitter. Optimiser and, unless given, weight decay are the backbone's own.
    Raises `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    with seeded(task.stream("head")):
        projector = nn.Linear(dimension(body), 64)
    schedule = plan(backbone, epochs, lr, batch, weight_decay)
    return _queued(
        task, body, projector, schedule, temperature, queue, momentum, groups, smallest, strength
    )


def v2(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 128,
    temperature: float = 0.2,
    weight_decay: float | None = None,
    queue: int = 4096,
    momentum: float = 0.99,
    groups: int = 2,
    smallest: float = 0.2,
    strength: float = 1.0,
) -> Learner:
    """Train a backbone with SimCLR's head, as wide as the features, against a queue of keys.

    `queue` is the number of negatives, at most half of the images. `momentum` is the teacher's
    at first and rises to 1; the paper's .999 needs more steps than these trainings have. `groups`
    is how many parts of a batch have batch norms of their own, keys shuffled. Two global views,
    without blur; `smallest` is the least part of the image's area that one shows, `strength`
    scales its colour jitter. Optimiser and, unless given, weight decay are the backbone's own.
    Raises `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    with seeded(task.stream("head")):
        projector = MoCoProjectionHead(dimension(body), dimension(body), 64)
    schedule = plan(backbone, epochs, lr, batch, weight_decay)
    return _queued(
        task, body, projector, schedule, temperature, queue, momentum, groups, smallest, strength
    )


def v3(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 128,
    temperature: float = 0.2,
    weight_decay: float | None = None,
    momentum: float = 0.99,
    smallest: float = 0.2,
    strength: float = 1.0,
    solarised: float = 0.2,
) -> Learner:
    """Train a backbone with a predictor against the keys of its own batch, both ways; no queue.

    Heads are 4 times as wide as the features in their middle. A vision transformer keeps its
    first patch embedding, which is what made the paper's trainings stable. `momentum` is the
    teacher's at first and rises to 1. Two global views, without blur: `smallest` is the least
    part of the image's area that one shows, `strength` scales its colour jitter, and a part
    `solarised` of second views is solarised. Optimiser and, unless given, weight decay are the
    backbone's own. Raises `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    width = dimension(body)
    if isinstance(body, VisionTransformer):
        body.patch_embed.requires_grad_(False)
    with seeded(task.stream("head")):
        projector = MoCoProjectionHead(width, 4 * width, width, num_layers=3, batch_norm=True)
        predictor = MoCoProjectionHead(width, 4 * width, width, num_layers=2, batch_norm=True)
    student = nn.Sequential(body, projector.to(task.device))
    predictor.to(task.device)
    teacher = teacher_of(student)

    def matched(query: Tensor, key: Tensor) -> Tensor:
        return 2 * temperature * among_batch(query, key, temperature)

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength, solarised=solarised,
        )  # fmt: skip
        first, second = predictor(student(views)).chunk(2)
        with torch.no_grad():
            first_key, second_key = teacher(views).chunk(2)
        return in_float32(matched, first, second_key) + in_float32(matched, second, first_key)

    return Learner(
        encoder=body,
        net=nn.ModuleList((student, predictor, teacher)),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
        after_step=following(student, teacher, momentum),
    )


def _queued(
    task: Task,
    body: nn.Module,
    projector: nn.Module,
    schedule: Schedule,
    temperature: float,
    queue: int,
    momentum: float,
    groups: int,
    smallest: float,
    strength: float,
) -> Learner:
    """Return the learner that versions 1 and 2 have in common: first views ask for second ones."""
    student = nn.Sequential(body, projector.to(task.device))
    teacher = teacher_of(student)
    size = at_most(queue, task.data.count, 2)
    negatives = Queue(size, 64, task.stream("queue")).to(task.device)

    def compared(query: Tensor, key: Tensor) -> Tensor:
        query, key = F.normalize(query, dim=1), F.normalize(key, dim=1)
        return among_negatives(query, key, negatives.exchange(key), temperature)

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength,
        )  # fmt: skip
        first, second = views.chunk(2)
        return in_float32(
            compared,
            grouped(student, first, groups),
            shuffled(teacher, second, groups, batch.draws),
        )

    return Learner(
        encoder=body,
        net=nn.ModuleList((student, teacher, negatives)),
        loss=loss,
        schedule=schedule,
        views=2,
        after_step=following(student, teacher, momentum),
    )


def grouped(net: nn.Module, images: Tensor, groups: int) -> Tensor:
    """Return what a net makes of images (n, …) in `groups` equal parts, as if of many devices."""
    parts = images.chunk(max(1, min(groups, len(images) // LEAST)))
    return torch.cat([net(part) for part in parts])


@torch.no_grad()
def shuffled(net: nn.Module, images: Tensor, groups: int, draws: Draws) -> Tensor:
    """Return the same as `grouped`, in the order of the images, of groups drawn at random."""
    order = draws.uniform(0, 1).argsort()
    return grouped(net, images[order], groups)[order.argsort()]
