"""What a trained encoder is worth: accuracy, k-NN and a linear probe of its frozen features.

All return percent as plain floats and draw nothing but what a passed generator gives. What grows
with the number of images is computed in parts where it is large: features beyond `MAPPED` bytes
lie in a temporary file, and no step holds many more than `AT_ONCE` numbers besides.
"""

import tempfile
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.ridge import DOUBLES, Ridge
from lotterybench.methods.base.shape import Trained

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the linear probe, per training image
MAPPED = 2**28  # bytes of features that are held in memory
AT_ONCE = 2**24  # numbers of a similarity matrix: 2¹⁴ images against 1,024
PIXELS = 2**18  # that an encoder is shown at once: 1,024 images of 16×16, 256 of 32×32
NO_CLASSIFIER = "the method has no classifier; use the k-NN or the linear probe"
Watch = Callable[[Tensor, Tensor], None]  # is shown scores (n, classes) and labels (n,), in parts


@torch.no_grad()
def features(encoder: nn.Module, images: Tensor, batch: int | None = None) -> Tensor:
    """Return the encoder's features of uint8 images (n, C, H, W): float (n, d)."""
    batch = batch or shown_at_once(images.shape[2] * images.shape[3])
    rows = torch.split(torch.arange(len(images)), batch)
    return features_of(encoder, zip(torch.split(images, batch), rows, strict=True), len(images))


def shown_at_once(pixels: int) -> int:
    """Return how many images of so many pixels are put through an encoder at a time."""
    return max(1, min(1024, PIXELS // pixels))


@torch.no_grad()
def features_of(encoder: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], count: int) -> Tensor:
    """Return the features of `count` images that come in batches: float32 (count, d).

    A batch is uint8 images (n, C, H, W) and the rows (n,) of the result that are theirs. More
    than `MAPPED` bytes lie on the CPU, in a temporary file that memory maps.
    """
    held: Tensor | None = None
    for images, rows in batches:
        found = encoder(normalise(images))
        if held is None:
            held = _room(count, found)
        held[rows.to(held.device)] = found.to(held.device, torch.float32)
    if held is None:
        raise BadRequest("there are no images to take features of")
    return held


def _room(count: int, like: Tensor) -> Tensor:
    """Return uninitialised float32 (count, d) for features like those of a batch."""
    size = like.shape[1]
    if 4 * count * size <= MAPPED:
        return torch.empty(count, size, device=like.device)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it until it is gone itself
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(count, size)))


@torch.no_grad()
def accuracy(trained: Trained, images: Tensor, labels: Tensor, watch: Watch | None = None) -> float:
    """Return the percentage of uint8 images whose class the trained classifier names.

    `watch` is shown what it says of them. Raises `BadRequest` for a method without a classifier.
    """
    if trained.classifier is None:
        raise BadRequest(NO_CLASSIFIER)
    scores = trained.classifier(features(trained.encoder, images))
    if watch is not None:
        watch(scores, labels)
    return percent(scores, labels)


@torch.no_grad()
def accuracy_of(trained: Trained, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return what `accuracy` does of batches: uint8 images (n, C, H, W) and labels (n,)."""
    if trained.classifier is None:
        raise BadRequest(NO_CLASSIFIER)
    hits, count = 0, 0
    for images, labels in batches:
        scores = trained.classifier(trained.encoder(normalise(images)))
        hits += int((scores.argmax(1) == labels).sum())
        count += len(labels)
    return 100 * (hits / count)


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
    watch: Watch | None = None,
) -> float:
    """Return the accuracy, in percent, of a weighted vote of the k nearest by cosine.

    A neighbour at similarity s counts exp(s / temperature) (Wu et al. 2018). `bank` is the
    training features (n, d), `queries` the test features (m, d); `chunk` queries are compared at
    a time. A bank smaller than k votes as a whole. `watch` is shown the votes of each chunk.
    """
    k, device = min(k, len(bank_labels)), bank_labels.device
    nearest = _nearest if len(bank) * chunk <= AT_ONCE else _nearest_in_parts
    find = nearest(bank, k)
    hits = 0
    for part, names in zip(torch.split(queries, chunk), torch.split(labels, chunk), strict=True):
        near, places = find(F.normalize(part.to(device)))
        tally = torch.zeros(len(part), classes, device=device)
        tally.scatter_add_(1, bank_labels[places], (near / temperature).exp())
        if watch is not None:
            watch(tally, names)
        hits += int((tally.argmax(1) == names).sum())
    return 100 * (hits / len(labels))


Nearest = Callable[[Tensor], tuple[Tensor, Tensor]]


def _nearest(bank: Tensor, k: int) -> Nearest:
    """Return a search for the k largest cosines to a bank, as (cosines, places), each (n, k)."""
    directions = F.normalize(bank).T

    def find(queries: Tensor) -> tuple[Tensor, Tensor]:
        near = (queries @ directions.to(queries.device)).topk(k, dim=1)
        return near.values, near.indices

    return find


def _nearest_in_parts(bank: Tensor, k: int) -> Nearest:
    """Return the same search, by parts of the bank with the k best so far."""

    def find(queries: Tensor) -> tuple[Tensor, Tensor]:
        best = queries.new_empty(len(queries), 0)
        places = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
        start = 0
        for part in torch.split(bank, max(1, AT_ONCE // 2 // len(queries))):
            cosines = queries @ F.normalize(part.to(queries.device)).T
            near = cosines.topk(min(k, len(part)), dim=1)
            best = torch.cat((best, near.values), 1)
            places = torch.cat((places, near.indices + start), 1)
            best, kept = best.topk(min(k, best.shape[1]), dim=1)
            places = places.gather(1, kept)
            start += len(part)
        return best, places

    return find


@torch.no_grad()
def linear_probe(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    *,
    classes: int,
    generator: Generator,
    watch: Watch | None = None,
) -> float:
    """Return the accuracy, in percent, of ridge regression on standardised features.

    The penalty is the one of `PENALTIES` that does best on a tenth of the training features,
    drawn by `generator` (the larger of equals); the probe is then fitted on all of them.
    `watch` is shown its scores of the queries, part by part.
    """
    shuffled = torch.randperm(len(bank), generator=generator, device=generator.device)
    held, kept = shuffled.tensor_split([max(1, len(bank) // 10)])
    trial = Ridge(bank, bank_labels, classes, kept)
    scores = [_scored(trial, penalty, bank, bank_labels, held) for penalty in PENALTIES]
    best = max(zip(scores, PENALTIES, strict=True))[1]
    return _scored(Ridge(bank, bank_labels, classes), best, queries, labels, watch=watch)


def _scored(
    ridge: Ridge, penalty: float, bank: Tensor, labels: Tensor, rows: Tensor | None = None,
    watch: Watch | None = None,
) -> float:  # fmt: skip
    """Return the accuracy, in percent, of a fitted probe on features, or on `rows` of them."""
    count = len(labels) if rows is None else len(rows)
    wide = max(bank.shape[1], len(ridge.offset))
    size = count if count * wide <= DOUBLES else max(1, DOUBLES // 4 // wide)
    hits = 0
    everything = torch.arange(count, device=labels.device) if rows is None else rows
    for of in torch.split(everything, size):
        scores = ridge.predict(bank[of.to(bank.device)], penalty)
        if watch is not None:
            watch(scores, labels[of])
        hits += int((scores.argmax(1) == labels[of]).sum())
    return 100 * (hits / count)


@torch.no_grad()
def effective_rank(bank: Tensor) -> float:
    """Return the effective number of dimensions of centred features (n, d): 0 to d.

    It is the exponential of the entropy of the singular values' shares (Roy and Vetterli 2007);
    0 where all features are equal.
    """
    if bank.numel() <= DOUBLES:
        values = torch.linalg.svdvals((bank - bank.mean(0)).double())
    else:  # the covariance's eigenvalues are their squares
        parts = torch.split(bank, max(1, DOUBLES // 4 // bank.shape[1]))
        centre = torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(bank)
        gram = torch.zeros(len(centre), len(centre), dtype=torch.double, device=bank.device)
        for part in parts:
            x = part.double() - centre
            gram.addmm_(x.T, x)
        values = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
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
    if bank.numel() <= DOUBLES:
        deviation = F.normalize(bank.double()).std(0, correction=0)
    else:
        parts = torch.split(bank, max(1, DOUBLES // 4 // bank.shape[1]))
        sums, squares = bank.new_zeros((2, bank.shape[1]), dtype=torch.double)
        for part in parts:
            direction = F.normalize(part.double())
            sums += direction.sum(0)
            squares += direction.square().sum(0)
        deviation = (squares / len(bank) - (sums / len(bank)).square()).clamp(min=0).sqrt()
    return float(deviation.mean() * bank.shape[1] ** 0.5)
