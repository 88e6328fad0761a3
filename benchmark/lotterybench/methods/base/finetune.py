"""Fine-tuning: an encoder and a new classifier are trained on with labels."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotterybench.methods.base.augment import crop
from lotterybench.methods.base.backbones import dimension, seeded
from lotterybench.methods.base.data import Batch, Resident
from lotterybench.methods.base.loop import train
from lotterybench.methods.base.probes import Watch, accuracy
from lotterybench.methods.base.shape import Learner, Schedule, Task

EPOCHS = 5  # passes over the training split


def finetuned(
    encoder: nn.Module,
    images: Tensor,
    labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    *,
    classes: int,
    mirror: bool,
    run: str,
    epochs: int = EPOCHS,
    lr: float = 1e-3,
    batch: int = 128,
    watch: Watch | None = None,
) -> float:
    """Return the test accuracy, in per cent, after `epochs` of training a copy of the encoder.

    AdamW with weight decay .05, shifted and mirrored images, smoothed labels: the protocol by
    which masked autoencoders are judged (He et al. 2022), shortened. The encoder itself stays as
    it is. `run` names the streams of random numbers; `watch` is shown what the tuned network says
    of the test images.
    """
    body = copy.deepcopy(encoder).requires_grad_()
    task = Task(
        Resident(images, labels, torch.arange(len(labels), device=labels.device)),
        classes,
        mirror,
        run,
    )
    with seeded(task.stream("head")):
        classifier = nn.Linear(dimension(body), classes)
    classifier.to(images.device)

    def loss(batch: Batch) -> Tensor:
        pad = batch.images.shape[-1] // 8
        shown = crop(batch.images, pad=pad, mirror=mirror, draws=batch.draws)
        return F.cross_entropy(classifier(body(shown)), batch.labels, label_smoothing=0.1)

    learner = Learner(
        encoder=body,
        net=nn.Sequential(body, classifier),
        loss=loss,
        schedule=Schedule(epochs, lr, batch, "adamw", 0.05),
        classifier=classifier,
    )
    return accuracy(train(task, learner), test, test_labels, watch)
