"""SimCLR (Chen et al. 2020): two views of an image attract, all others of the batch repel."""

from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.contrast import among_views
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.plan import in_float32, plan
from lotterybench.methods.base.shape import Learner, Task


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    temperature: float = 0.5,
    batch: int = 128,
    weight_decay: float | None = None,
    smallest: float = 0.2,
    strength: float = 1.0,
) -> Learner:
    """Train a backbone without labels; the projector is thrown away.

    `smallest` is the least part of the image's area that a view shows, `strength` scales its
    colour jitter; both views are global. Optimiser and, unless given, weight decay are the
    backbone's own. Raises `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    width = dimension(body)
    with seeded(task.stream("head")):
        projector = SimCLRProjectionHead(width, width, 64)
    projector.to(task.device)

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength,
        )  # fmt: skip
        first, second = projector(body(views)).chunk(2)
        return in_float32(
            lambda one, two: among_views(one, two, temperature, decoupled=False), first, second
        )

    return Learner(
        encoder=body,
        net=nn.Sequential(body, projector),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
    )
