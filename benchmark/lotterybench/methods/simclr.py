"""SimCLR (Chen et al. 2020): two views of an image attract, all others of the batch repel."""

from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, family, seeded
from lotterybench.methods.base.loop import fit
from lotterybench.methods.base.shape import Task, Trained


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    temperature: float = 0.5,
    batch: int = 128,
    smallest: float = 0.2,
) -> Trained:
    """Train a backbone without labels; the projector is thrown away.

    `smallest` is the least part of the image's area that a view shows. Optimiser and weight decay
    are the backbone's own. `images_seen` counts both views. Raises `Diverged`, and `BadRequest`
    or `UnknownName` for impossible settings.
    """
    kind = family(backbone)
    body = encoder(backbone, task)
    with seeded(task.stream("head")):
        projector = SimCLRProjectionHead(dimension(body), dimension(body), 64)
    projector.to(task.device)
    contrast = NTXentLoss(temperature)
    augment = task.generator("augment")

    def step(rows: Tensor) -> Tensor:
        views = two_views(
            task.images[rows], mirror=task.mirror, generator=augment, smallest=smallest
        )
        first, second = projector(body(views)).chunk(2)
        loss: Tensor = contrast(first, second)
        return loss

    seen = fit(
        nn.Sequential(body, projector),
        task.rows,
        step,
        epochs=epochs,
        lr=lr,
        batch=batch,
        optimiser=kind.optimiser,
        weight_decay=kind.weight_decay,
        order=task.generator("order"),
    )
    return Trained(body, None, 2 * seen)
