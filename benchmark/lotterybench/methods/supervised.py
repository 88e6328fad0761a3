"""Supervised training: cross-entropy with smoothed labels on shifted and mirrored images."""

import torch.nn.functional as F
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.augment import crop
from lotterybench.methods.base.backbones import dimension, encoder, family, seeded
from lotterybench.methods.base.data import Batch
from lotterybench.methods.base.mixing import mixed
from lotterybench.methods.base.shape import Learner, Schedule, Task


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 64,
    smoothing: float = 0.1,
    weight_decay: float | None = None,
    width: float = 1.0,
    strength: float = 1.0,
    mixup: float = 0.0,
) -> Learner:
    """Train a backbone and a linear classifier on the labels.

    Images are shifted by up to an eighth of their side, times `strength`. `mixup` is the alpha of
    the Beta distribution that mixes each batch with itself (Zhang et al. 2018), 0 for none.
    `width` scales the backbone's channels. Optimiser and, unless given, weight decay are the
    backbone's own. Raises `UnknownName` for the backbone and `BadRequest` for a negative strength.
    """
    if strength < 0:
        raise BadRequest(f"strength is {strength:g}; it is 0 (no shift) or more")
    kind = family(backbone)
    body = encoder(backbone, task, width)
    with seeded(task.stream("head")):
        classifier = nn.Linear(dimension(body), task.classes)
    classifier.to(task.device)
    pad = round(strength * task.data.shape[-1] / 8)
    blend = task.stream("mixup")

    def loss(batch: Batch) -> tuple[Tensor, Tensor]:
        images = crop(batch.images, pad=pad, mirror=task.mirror, draws=batch.draws)
        if mixup == 0:
            logits = classifier(body(images))
            return F.cross_entropy(logits, batch.labels, label_smoothing=smoothing), logits
        images, share = mixed(images, mixup, blend, batch.step)
        logits = classifier(body(images))
        own, other = (
            F.cross_entropy(logits, labels, label_smoothing=smoothing)
            for labels in (batch.labels, batch.labels.flip(0))
        )
        return share * own + (1 - share) * other, logits

    decay = kind.weight_decay if weight_decay is None else weight_decay
    return Learner(
        encoder=body,
        net=nn.Sequential(body, classifier),
        loss=loss,
        schedule=Schedule(epochs, lr, batch, kind.optimiser, decay),
        classifier=classifier,
    )
