"""VICReg (Bardes et al. 2022): views agree, outputs vary over the batch and do not correlate."""

import torch
import torch.nn.functional as F
from lightly.loss.vicreg_loss import variance_loss
from lightly.models.modules.heads import VICRegProjectionHead
from lightly.utils import dist
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
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    weight_decay: float | None = None,
    smallest: float = 0.2,
    strength: float = 1.0,
    solarised: float = 0.2,
) -> Learner:
    """Train a backbone without labels on three weighted terms.

    The projector's three layers are 4 times as wide as the features. Two global views, without
    blur: `smallest` is the least part of the image's area that one shows, `strength` scales its
    colour jitter, and a part `solarised` of second views is solarised. Optimiser and, unless
    given, weight decay are the backbone's own. Raises `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    width = dimension(body)
    with seeded(task.stream("head")):
        projector = VICRegProjectionHead(width, 4 * width, 4 * width)
    projector.to(task.device)

    def terms(first: Tensor, second: Tensor) -> Tensor:
        alike = F.mse_loss(first, second)
        if dist.world_size() > 1:
            first, second = torch.cat(dist.gather(first)), torch.cat(dist.gather(second))
        varied: Tensor = 0.5 * (variance_loss(first) + variance_loss(second))
        tied = correlated(first) + correlated(second)
        return invariance * alike + variance * varied + covariance * tied

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength, solarised=solarised,
        )  # fmt: skip
        first, second = projector(body(views)).chunk(2)
        return in_float32(terms, first, second)

    return Learner(
        encoder=body,
        net=nn.Sequential(body, projector),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
    )


def correlated(outputs: Tensor) -> Tensor:
    """Return the sum of squared covariances of different outputs (n, d), over d.

    lightly's, the oracle of this in the tests, picks them by a boolean mask, for which an
    accelerator has to count before the host may go on.
    """
    count, width = outputs.shape
    centred = outputs - outputs.mean(0)
    covariance = centred.T @ centred / (count - 1)
    squares = covariance.square()
    return (squares.sum() - squares.diagonal().sum()) / width
