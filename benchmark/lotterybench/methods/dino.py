"""DINO (Caron et al. 2021): a student matches its teacher's sharpened, centred probabilities."""

import torch
import torch.nn.functional as F
from lightly.loss import DINOLoss
from lightly.models.modules.heads import ProjectionHead
from torch import Tensor, nn

from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import dimension, encoder, seeded
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.momentum import following, teacher_of
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
    teacher_temperature: float = 0.04,
    prototypes: int = 512,
    momentum: float = 0.99,
    frozen: int = 1,
    clip: float = 3.0,
    weight_decay: float | None = None,
    smallest: float = 0.2,
    strength: float = 1.0,
    solarised: float = 0.2,
) -> Learner:
    """Train a backbone without labels by distillation from a teacher that follows it.

    `prototypes` is the number of outputs, at most a tenth of the images; the last layer stays as
    it is for `frozen` epochs. `momentum` is the teacher's at first and rises to 1; the centre's
    is .9. `clip` bounds the gradient's norm. Two global views, without blur and without the small
    crops that 32 pixels have no room for: `smallest` is the least part of the image's area that
    one shows, `strength` scales its colour jitter, and a part `solarised` of second views is
    solarised. Optimiser and, unless given, weight decay are the backbone's own. Raises
    `UnknownName` for the backbone.
    """
    body = encoder(backbone, task)
    outputs = at_most(prototypes, task.data.count, 10)
    with seeded(task.stream("head")):
        head = Head(dimension(body), outputs)
    student = nn.Sequential(body, head.to(task.device))
    teacher = teacher_of(student)
    centred = DINOLoss(
        outputs, teacher_temp=teacher_temperature, student_temp=temperature
    ).to(task.device)  # fmt: skip

    def compared(taught: Tensor, said: Tensor) -> Tensor:
        found: Tensor = centred(list(taught.chunk(2)), list(said.chunk(2)))
        return found

    def loss(batch: Batch) -> Tensor:
        views = two_views(
            batch.images, mirror=task.mirror, draws=batch.draws, smallest=smallest,
            strength=strength, solarised=solarised,
        )  # fmt: skip
        with torch.no_grad():
            taught = teacher(views)
        return in_float32(compared, taught, student(views))

    def after_backward(batch: Batch) -> None:
        gradient = head.directions.weight.grad
        if batch.epoch < frozen and gradient is not None:
            gradient.zero_()  # not None: torch's fused SGD takes no parameter that joins later

    return Learner(
        encoder=body,
        net=nn.ModuleList((student, teacher, centred)),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay, clip),
        views=2,
        after_backward=after_backward,
        after_step=following(student, teacher, momentum),
    )


class Head(nn.Module):
    """DINO's head: three layers, then cosines with `outputs` directions.

    The layers are 4 times as wide as the features and end as wide as these. lightly's head is
    built on torch's deprecated weight norm, which cannot be copied into a teacher.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        wide = 4 * width
        self.layers = ProjectionHead(
            [
                (width, wide, nn.BatchNorm1d(wide), nn.GELU()),
                (wide, wide, nn.BatchNorm1d(wide), nn.GELU()),
                (wide, width, None, None),
            ]
        )
        self.directions = nn.Linear(width, outputs, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, d) to logits (n, outputs) in [-1, 1]."""
        found = F.normalize(self.layers(features), dim=1)
        return F.linear(found, F.normalize(self.directions.weight, dim=1))
