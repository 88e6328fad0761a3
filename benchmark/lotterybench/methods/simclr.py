"""SimCLR (Chen et al. 2020): two views of an image attract, all others of the batch repel."""

from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, family, seeded
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.shape import Learner, Schedule, Task


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    temperature: float = 0.5,
    batch: int = 128,
    smallest: float = 0.2,
) -> Learner:
    """Train a backbone without labels; the projector is thrown away.

    `smallest` is the least part of the image's area that a view shows. Optimiser and weight decay
    are the backbone's own. Raises `UnknownName` for the backbone.
    """
    kind = family(backbone)
    body = encoder(backbone, task)
    with seeded(task.stream("head")):
        projector = SimCLRProjectionHead(dimension(body), dimension(body), 64)
    projector.to(task.device)
    contrast = NTXentLoss(temperature, gather_distributed=True)

    def loss(batch: Batch) -> Tensor:
        views = two_views(batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest)
        first, second = projector(body(views)).chunk(2)
        found: Tensor = contrast(first, second)
        return found

    return Learner(
        encoder=body,
        net=nn.Sequential(body, projector),
        loss=loss,
        schedule=Schedule(epochs, lr, batch, kind.optimiser, kind.weight_decay),
        views=2,
    )
