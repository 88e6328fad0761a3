"""SupCon (Khosla et al. 2020): views of one class attract, those of other classes repel."""

import torch
import torch.nn.functional as F
from lightly.models.modules import SimCLRProjectionHead
from lightly.models.utils import concat_all_gather
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
    temperature: float = 0.1,
    weight_decay: float | None = None,
    smallest: float = 0.2,
    strength: float = 1.0,
) -> Learner:
    """Train a backbone on the labels, but no classifier: the encoder is probed like SimCLR's.

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
        labels = batch.labels.repeat(2)
        return in_float32(
            lambda found: supervised_contrast(found, labels, temperature), projector(body(views))
        )

    return Learner(
        encoder=body,
        net=nn.Sequential(body, projector),
        loss=loss,
        schedule=plan(backbone, epochs, lr, batch, weight_decay),
        views=2,
    )


def supervised_contrast(features: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss L_out (equation 2 of the paper), averaged.

    `features` are float (n, d) of any length, `labels` int64 (n,). Each row needs another of its
    label, as the two views of an image have. lightly has no such loss.
    """
    features = F.normalize(features, dim=1)
    everything, everyone = features, labels
    if dist.world_size() > 1:
        everything, everyone = torch.cat(dist.gather(features)), concat_all_gather(labels)
    row = torch.arange(len(features), device=features.device) + dist.rank() * len(features)
    itself = row[:, None] == torch.arange(len(everything), device=features.device)
    logits = (features @ everything.T / temperature).masked_fill(itself, -torch.inf)
    unlikely = logits.logsumexp(1, keepdim=True) - logits
    positive = (labels[:, None] == everyone) & ~itself
    each: Tensor = unlikely.where(positive, 0.0).sum(1) / positive.sum(1)
    return each.mean()
