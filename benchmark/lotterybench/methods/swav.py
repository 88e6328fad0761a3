"""SwAV (Caron et al. 2020): from one view, predict the cluster that another is assigned to."""

import torch.nn.functional as F
from lightly.loss import SwaVLoss
from lightly.models.modules.heads import SwaVProjectionHead
from lightly.models.utils import normalize_weight
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.plan import in_float32, plan
from lotterybench.methods.base.queue import at_most
from lotterybench.methods.base.shape import Learner, Task


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 128,
    temperature: float = 0.1,
    sharpness: float = 0.05,
    prototypes: int = 128,
    frozen: int = 1,
    weight_decay: float | None = None,
    smallest: float = 0.2,
    strength: float = 1.0,
) -> Learner:
    """Train a backbone without labels by swapping assignments that fill all clusters equally.

    `prototypes` is the number of clusters, at most a tenth of the images; as many as a batch has
    images need no queue of past ones. They stay as they are for `frozen` epochs. `sharpness` is
    Sinkhorn's ε, of three iterations. Two global views, without blur and without the small crops
    that 32 pixels have no room for: `smallest` is the least part of the image's area that one
    shows, `strength` scales its colour jitter. Optimiser and, unless given, weight decay are the
    backbone's own. Raises `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    width = dimension(body)
    clusters = at_most(prototypes, task.data.count, 10)
    with seeded(task.stream("head")):
        projector = SwaVProjectionHead(width, width, 64)
        # lightly's prototypes have a bias, which lets a cluster win whatever the image shows
        centres = nn.Linear(64, clusters, bias=False)
    normalize_weight(centres.weight)
    net = nn.Sequential(body, projector, centres).to(task.device)
    swapped = SwaVLoss(temperature, 3, sharpness, sinkhorn_gather_distributed=True)

    def predicted(first: Tensor, second: Tensor) -> Tensor:
        found: Tensor = swapped([first, second], [])
        return found.squeeze()

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength,
        )  # fmt: skip
        first, second = centres(F.normalize(projector(body(views)), dim=1)).chunk(2)
        return in_float32(predicted, first, second)

    def after_backward(batch: Batch) -> None:
        gradient = centres.weight.grad
        if batch.epoch < frozen and gradient is not None:
            gradient.zero_()  # not None: torch's fused SGD takes no parameter that joins later

    def after_step(batch: Batch) -> None:
        normalize_weight(centres.weight)

    return Learner(
        encoder=body,
        net=net,
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
        after_backward=after_backward,
        after_step=after_step,
    )
