"""Supervised training: cross-entropy with smoothed labels on shifted and mirrored images."""

import torch.nn.functional as F
from torch import Tensor, nn

from lotterybench.methods.base.augment import crop
from lotterybench.methods.base.backbones import dimension, encoder, family, seeded
from lotterybench.methods.base.loop import fit
from lotterybench.methods.base.shape import Task, Trained


def train(
    task: Task,
    *,
    epochs: int,
    lr: float,
    backbone: str,
    batch: int = 64,
    smoothing: float = 0.1,
) -> Trained:
    """Train a backbone and a linear classifier on the labels of the task's rows.

    Images are shifted by up to an eighth of their side. Optimiser and weight decay are the
    backbone's own. Raises `Diverged`, and `BadRequest` or `UnknownName` for impossible settings.
    """
    kind = family(backbone)
    body = encoder(backbone, task)
    with seeded(task.stream("head")):
        classifier = nn.Linear(dimension(body), task.classes)
    classifier.to(task.device)
    pad = task.images.shape[-1] // 8
    augment = task.generator("augment")

    def step(rows: Tensor) -> Tensor:
        images = crop(task.images[rows], pad=pad, mirror=task.mirror, generator=augment)
        logits = classifier(body(images))
        return F.cross_entropy(logits, task.labels[rows], label_smoothing=smoothing)

    seen = fit(
        nn.Sequential(body, classifier),
        task.rows,
        step,
        epochs=epochs,
        lr=lr,
        batch=batch,
        optimiser=kind.optimiser,
        weight_decay=kind.weight_decay,
        order=task.generator("order"),
    )
    return Trained(body, classifier, seen)
