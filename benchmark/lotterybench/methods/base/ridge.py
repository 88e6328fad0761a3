"""Ridge regression on standardised features, in parts where they are many."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

DOUBLES = 2**24  # numbers that are taken to double precision at once


class Ridge:
    """Least squares from standardised features to one-hot labels, solved for any penalty.

    Minimises |XW − Y|² / n + penalty·|W|² with X standardised and Y centred, by one
    eigendecomposition in double precision. `rows` of the bank are fitted, or all. What is too
    large to be had in double precision at once is summed up in parts.
    """

    def __init__(
        self, bank: Tensor, labels: Tensor, classes: int, rows: Tensor | None = None
    ) -> None:
        count = len(labels) if rows is None else len(rows)
        if count * max(bank.shape[1], classes) <= DOUBLES:
            x, target = next(_pairs(bank, labels, classes, rows, count))
            self.centre, self.offset = x.mean(0), target.mean(0)
            spread = x.std(0, correction=0)
            self.scale = torch.where(spread > 1e-8, spread, 1.0)  # dead features stay 0
            x = (x - self.centre) / self.scale
            gram, product = x.T @ x, x.T @ (target - self.offset)
        else:
            gram, product = self._summed(bank, labels, classes, rows, count)
        self.eigenvalues, self.axes = torch.linalg.eigh(gram / count)
        self.projected = self.axes.T @ product / count

    def _summed(
        self, bank: Tensor, labels: Tensor, classes: int, rows: Tensor | None, count: int
    ) -> tuple[Tensor, Tensor]:
        """Set centre, offset and scale, and return XᵀX and XᵀY, in two passes over parts."""
        part = max(1, DOUBLES // 4 // max(bank.shape[1], classes))
        sums = [(x.sum(0), y.sum(0)) for x, y in _pairs(bank, labels, classes, rows, part)]
        centre, offset = (torch.stack(of).sum(0) / count for of in zip(*sums, strict=True))
        gram = centre.new_zeros(len(centre), len(centre))
        product = centre.new_zeros(len(centre), classes)
        for x, y in _pairs(bank, labels, classes, rows, part):
            x = x - centre
            gram.addmm_(x.T, x)
            product.addmm_(x.T, y - offset)
        spread = (gram.diagonal() / count).sqrt()
        self.centre, self.offset = centre, offset
        self.scale = torch.where(spread > 1e-8, spread, 1.0)
        return gram / self.scale / self.scale[:, None], product / self.scale[:, None]

    def predict(self, queries: Tensor, penalty: float) -> Tensor:
        """Return the scores (m, classes) of features (m, d) under a penalty."""
        weights = self.axes @ (self.projected / (self.eigenvalues.clamp(min=0) + penalty)[:, None])
        x = (queries.to(self.centre.device).double() - self.centre) / self.scale
        scores: Tensor = x @ weights + self.offset
        return scores


def _pairs(
    bank: Tensor, labels: Tensor, classes: int, rows: Tensor | None, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield features and one-hot labels in double precision, `size` rows at a time."""
    parts: Iterable[tuple[Tensor, Tensor]]
    if rows is None:
        parts = zip(torch.split(bank, size), torch.split(labels, size), strict=True)
    else:
        parts = ((bank[of.to(bank.device)], labels[of]) for of in torch.split(rows, size))
    for x, names in parts:
        yield x.to(names.device).double(), F.one_hot(names, classes).double()
