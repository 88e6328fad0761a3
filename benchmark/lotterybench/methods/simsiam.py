"""SimSiam (Chen and He 2021): BYOL without a teacher; the target is held fixed instead."""

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import ProjectionHead, SimSiamPredictionHead
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.data import Batch
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
    smallest: float = 0.2,
    strength: float = 1.0,
) -> Learner:
    """Train a backbone without labels, negatives or a teacher.

    The projector has two layers, 4 times as wide as the features, and a batch norm at its end
    (the paper's for CIFAR-10, appendix D); the predictor's middle is a quarter of that. The
    predictor's rate falls like all others. Two global views, without blur: `smallest` is the
    least part of the image's area that one shows, `strength` scales its colour jitter. Optimiser
    and, unless given, weight decay are the backbone's own. Raises `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    width = dimension(body)
    wide = 4 * width
    with seeded(task.stream("head")):
        projector = ProjectionHead(
            [
                (width, wide, nn.BatchNorm1d(wide), nn.ReLU()),
                (wide, wide, nn.BatchNorm1d(wide, affine=False), None),
            ]
        )
        predictor = SimSiamPredictionHead(wide, width, wide)
    student = nn.Sequential(body, projector.to(task.device))
    predictor.to(task.device)
    apart = NegativeCosineSimilarity()

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength,
        )  # fmt: skip
        projected = student(views)
        first, second = projected.detach().chunk(2)
        return in_float32(apart, predictor(projected), torch.cat((second, first)))

    return Learner(
        encoder=body,
        net=nn.Sequential(student, predictor),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
    )
