"""NNCLR (Dwibedi et al. 2021): an image's positive is the other view's neighbour in a queue."""

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import NNCLRPredictionHead, NNCLRProjectionHead
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.contrast import among_batch
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.plan import in_float32, plan
from lotterybench.methods.base.queue import Queue, at_most
from lotterybench.methods.base.shape import Learner, Task


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 128,
    temperature: float = 0.1,
    queue: int = 8192,
    weight_decay: float | None = None,
    smallest: float = 0.2,
    strength: float = 1.0,
) -> Learner:
    """Train a backbone without labels; positives come from images seen before.

    `queue` is the number of features to find neighbours in, at most half of the images. Heads are
    4 times as wide as the features in their middle. Two global views, without blur: `smallest` is
    the least part of the image's area that one shows, `strength` scales its colour jitter.
    Optimiser and, unless given, weight decay are the backbone's own. Raises `UnknownName` for the
    backbone.
    """
    body = encoder(backbone, task)
    width = dimension(body)
    with seeded(task.stream("head")):
        projector = NNCLRProjectionHead(width, 4 * width, width)
        predictor = NNCLRPredictionHead(width, 4 * width, width)
    size = at_most(queue, task.data.count, 2)
    past = Queue(size, width, task.stream("queue"))
    student = nn.Sequential(body, projector).to(task.device)
    predictor.to(task.device)
    past.to(task.device)

    def contrasted(projected: Tensor, predicted: Tensor) -> Tensor:
        first, second = F.normalize(projected.detach(), dim=1).chunk(2)
        held = past.exchange(first)
        first_predicted, second_predicted = predicted.chunk(2)
        return (
            both_ways(nearest(first, held), second_predicted)
            + both_ways(nearest(second, held), first_predicted)
        ) / 2

    def both_ways(neighbours: Tensor, predicted: Tensor) -> Tensor:
        return (
            among_batch(neighbours, predicted, temperature)
            + among_batch(predicted, neighbours, temperature)
        ) / 2

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength,
        )  # fmt: skip
        projected = student(views)
        return in_float32(contrasted, projected, predictor(projected))

    return Learner(
        encoder=body,
        net=nn.ModuleList((student, predictor, past)),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
    )


@torch.no_grad()
def nearest(features: Tensor, held: Tensor) -> Tensor:
    """Return for each feature (n, d) the nearest by cosine of `held` (m, d); all normalised."""
    return held[(features @ held.T).argmax(1)]
