"""The premise of ReLA: are the representations of two priors linear in one another?"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from lotterybench.kinds.acceleration.priors import prior_at
from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.methods.base.priors import features
from lotterybench.methods.base.shape import stream
from lotterybench.methods.base.whitening import Moments, Whitening


def linear_map_of(stage: Stage, here: Here) -> Made:
    """Fit the best linear map between two priors, both ways, on the training images.

    R² is on the test images, of raw features and of whitened ones; the null is a map that was
    fitted to rows out of order.
    """
    setting = Setting(stage, here)
    first, second = (_represented(setting, role) for role in ("first", "second"))
    generator = Generator().manual_seed(stream(stage.key, "order"))
    order = torch.randperm(len(first[0]), generator=generator)
    metrics = {}
    for way, (one, other) in {"there": (first, second), "back": (second, first)}.items():
        metrics[f"{way}-r2"] = variance_explained(*one, *other)
        metrics[f"{way}-whitened"] = mean_explained(*one, *_whitened(*other))
        metrics[f"{way}-shuffled"] = variance_explained(*one, other[0][order], other[1])
    looked = 2 * (len(setting.train.rows) + len(setting.test.rows))
    return Made(metrics, looked=looked)


def variance_explained(x: Tensor, queries: Tensor, y: Tensor, answers: Tensor) -> float:
    """Return R² on (queries, answers) of the least-squares map with offset from x to y.

    All are (n, d); the sums of squares run over all of y's dimensions together.
    """
    rest, total = _squares(x, queries, y, answers)
    return float(1 - rest.sum() / total.sum())


def mean_explained(x: Tensor, queries: Tensor, y: Tensor, answers: Tensor) -> float:
    """Return the same as the mean of R² over y's dimensions, of those that vary."""
    rest, total = _squares(x, queries, y, answers)
    alive = total > 0
    return float((1 - rest[alive] / total[alive]).mean())


def _squares(x: Tensor, queries: Tensor, y: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squares left of each dimension of y, and those about the answers' mean."""
    x, queries, y, answers = (of.double().cpu() for of in (x, queries, y, answers))
    centre, middle = x.mean(0), y.mean(0)
    # by the SVD, which takes features that are dead or copies of others
    weights = torch.linalg.lstsq(x - centre, y - middle, driver="gelsd").solution
    found = (queries - centre) @ weights + middle
    return (answers - found).square().sum(0), (answers - answers.mean(0)).square().sum(0)


def _represented(setting: Setting, role: str) -> tuple[Tensor, Tensor]:
    """Return a prior's features of the training and of the test images, in its own way."""
    prior = prior_at(setting, setting.stage.settings[role], setting.here.needs[role])
    train, test = (
        torch.cat(list(features(prior, part.first()[0]))) for part in (setting.train, setting.test)
    )
    return train, test


def _whitened(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    moments = Moments()
    moments.add(train)
    whitening = Whitening.of(moments, train.shape[1])
    return whitening(train), whitening(test)
