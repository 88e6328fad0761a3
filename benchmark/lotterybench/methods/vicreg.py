"""VICReg (Bardes et al. 2022): views agree, outputs vary over the batch and do not correlate."""

from lightly.loss import VICRegLoss
from lightly.models.modules.heads import VICRegProjectionHead
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
    terms = VICRegLoss(invariance, variance, covariance, gather_distributed=True)

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
