"""BYOL (Grill et al. 2020): a student predicts what its teacher makes of another view."""

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.momentum import following, teacher_of
from lotterybench.methods.base.plan import in_float32, plan
from lotterybench.methods.base.shape import Learner, Task


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 128,
    weight_decay: float | None = None,
    momentum: float = 0.99,
    smallest: float = 0.2,
    strength: float = 1.0,
    solarised: float = 0.2,
) -> Learner:
    """Train a backbone without labels and without negatives.

    Heads are 4 times as wide as the features in their middle. `momentum` is the teacher's at
    first and rises to 1: .99 is the paper's for 300 epochs, and more outlasts a short training.
    Two global views, without blur: `smallest` is the least part of the image's area that one
    shows, `strength` scales its colour jitter, and a part `solarised` of second views is
    solarised. Optimiser and, unless given, weight decay are the backbone's own. Raises
    `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    width = dimension(body)
    with seeded(task.stream("head")):
        projector = BYOLProjectionHead(width, 4 * width, width)
        predictor = BYOLPredictionHead(width, 4 * width, width)
    student = nn.Sequential(body, projector.to(task.device))
    predictor.to(task.device)
    teacher = teacher_of(student)
    apart = NegativeCosineSimilarity()

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength, solarised=solarised,
        )  # fmt: skip
        predicted = predictor(student(views))
        with torch.no_grad():
            first, second = teacher(views).chunk(2)
        return in_float32(apart, predicted, torch.cat((second, first)))

    return Learner(
        encoder=body,
        net=nn.ModuleList((student, predictor, teacher)),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
        after_step=following(student, teacher, momentum),
    )
