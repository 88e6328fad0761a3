"""What a trained encoder is worth: accuracy, k-NN and a linear probe of its frozen features.

All return percent as plain floats and draw nothing but what a passed generator gives.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.shape import Trained

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the linear probe, per training image


@torch.no_grad()
def features(encoder: nn.Module, images: Tensor, batch: int = 1024) -> Tensor:
    """Return the encoder's features of uint8 images (n, C, H, W): float (n, d)."""
    return torch.cat([encoder(normalise(part)) for part in torch.split(images, batch)])


@torch.no_grad()
def accuracy(trained: Trained, images: Tensor, labels: Tensor, batch: int = 1024) -> float:
    """Return the percentage of uint8 images whose class the trained classifier names.

    Raises `BadRequest` for a method that has no classifier.
    """
    if trained.classifier is None:
        raise BadRequest("the method has no classifier; use the k-NN or the linear probe")
    return percent(trained.classifier(features(trained.encoder, images, batch)), labels)


def percent(scores: Tensor, labels: Tensor) -> float:
    """Return how often, in percent, the highest of the scores (n, classes) is the label's."""
    return 100 * (scores.argmax(1) == labels).double().mean().item()


@torch.no_grad()
def knn(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    *,
    classes: int,
    k: int = 20,
    temperature: float = 0.1,
    chunk: int = 1024,
) -> float:
    """Return the accuracy, in percent, of a weighted vote of the k nearest by cosine.

    A neighbour at similarity s counts exp(s / temperature) (Wu et al. 2018). `bank` is the
    training features (n, d), `queries` the test features (m, d); `chunk` queries are compared at
    a time. A bank smaller than k votes as a whole.
    """
    bank = F.normalize(bank).T
    votes = []
    for part in torch.split(F.normalize(queries), chunk):
        near = (part @ bank).topk(min(k, len(bank_labels)), dim=1)
        tally = torch.zeros(len(part), classes, device=part.device)
        votes.append(
            tally.scatter_add_(1, bank_labels[near.indices], (near.values / temperature).exp())
        )
    return percent(torch.cat(votes), labels)


@torch.no_grad()
def linear_probe(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    *,
    classes: int,
    generator: Generator,
) -> float:
    """Return the accuracy, in percent, of ridge regression on standardised features.

    The penalty is the one of `PENALTIES` that does best on a tenth of the training features,
    drawn by `generator` (the larger of equals); the probe is then fitted on all of them.
    """
    shuffled = torch.randperm(len(bank), generator=generator, device=bank.device)
    held, kept = shuffled.tensor_split([max(1, len(bank) // 10)])
    trial = Ridge(bank[kept], bank_labels[kept], classes)
    scores = [
        percent(trial.predict(bank[held], penalty), bank_labels[held]) for penalty in PENALTIES
    ]
    best = max(zip(scores, PENALTIES, strict=True))[1]
    return percent(Ridge(bank, bank_labels, classes).predict(queries, best), labels)


class Ridge:
    """Least squares from standardised features to one-hot labels, solved for any penalty.

    Minimises |XW − Y|² / n + penalty·|W|² with X standardised and Y centred, by one
    eigendecomposition in double precision.
    """

    def __init__(self, bank: Tensor, labels: Tensor, classes: int) -> None:
        bank = bank.double()
        target = F.one_hot(labels, classes).double()
        self.centre, self.offset = bank.mean(0), target.mean(0)
        spread = bank.std(0, correction=0)
        self.scale = torch.where(spread > 1e-8, spread, 1.0)  # dead features stay 0
        x = (bank - self.centre) / self.scale
        self.eigenvalues, self.axes = torch.linalg.eigh(x.T @ x / len(x))
        self.projected = self.axes.T @ (x.T @ (target - self.offset)) / len(x)

    def predict(self, queries: Tensor, penalty: float) -> Tensor:
        """Return the scores (m, classes) of features (m, d) under a penalty."""
        weights = self.axes @ (self.projected / (self.eigenvalues.clamp(min=0) + penalty)[:, None])
        x = (queries.double() - self.centre) / self.scale
        scores: Tensor = x @ weights + self.offset
        return scores


@torch.no_grad()
def effective_rank(bank: Tensor) -> float:
    """Return the effective number of dimensions of centred features (n, d): 0 to d.

    It is the exponential of the entropy of the singular values' shares (Roy and Vetterli 2007);
    0 where all features are equal.
    """
    values = torch.linalg.svdvals((bank - bank.mean(0)).double())
    total = values.sum()
    if total < 1e-12:
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())


@torch.no_grad()
def feature_spread(bank: Tensor) -> float:
    """Return how far normalised features (n, d) lie apart: √d times their mean deviation, 0 to 1.

    0 where all point the same way; about 1 where directions are spread over the whole sphere
    (Chen and He 2021, figure 2).
    """
    directions = F.normalize(bank.double())
    return float(directions.std(0, correction=0).mean() * directions.shape[1] ** 0.5)
