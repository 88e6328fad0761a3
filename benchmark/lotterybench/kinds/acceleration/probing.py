"""What frozen features are worth: at the end by both probes, on the way by k-NN on a few images."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from lotterybench.kinds.transfer.parts import Part
from lotterybench.methods.base.observe import Observer
from lotterybench.methods.base.probes import effective_rank, features, knn, linear_probe

Labelled = tuple[Tensor, Tensor]


def probed(
    bank: Labelled, queries: Labelled, classes: int, generator: Generator
) -> dict[str, float]:
    """Return k-NN, linear probe and effective rank of features (n, d) with labels (n,).

    The linear probe is fitted on all labels, whatever share an arm trained on.
    """
    return {
        "knn": knn(*bank, *queries, classes=classes),
        "linear": linear_probe(*bank, *queries, classes=classes, generator=generator),
        "effective_rank": effective_rank(queries[0]),
    }  # fmt: skip


def encoded(encoder: nn.Module, part: Part, count: int | None = None) -> Labelled:
    """Return the features and labels of a part's first images, or of all; `encoder` evaluates."""
    images, labels = part.first(count)
    return features(encoder, images), labels


def moments(epochs: int, looks: int) -> list[int]:
    """Return after which epochs to look, evenly, the last among them; fewer if epochs are few."""
    return sorted({max(1, round(epochs * number / looks)) for number in range(1, looks + 1)})


class Looks(Observer):
    """Takes k-NN accuracy after some epochs, of a few test images against a few training ones.

    `images` counts those that went through the network for it.
    """

    def __init__(
        self, train: Part, test: Part, classes: int, at: list[int], bank: int, queries: int
    ) -> None:
        self.parts, self.classes = ((train, bank), (test, queries)), classes
        self.at = at
        self.found: dict[int, float] = {}

    def epoch(self, epoch: int, encoder: nn.Module, classifier: nn.Module | None) -> None:
        """Look, if its time has come."""
        if epoch + 1 in self.at:
            bank, queries = (encoded(encoder, *part) for part in self.parts)
            self.found[epoch + 1] = knn(*bank, *queries, classes=self.classes)

    @property
    def images(self) -> int:
        """How many images went through the network to look."""
        each = sum(min(count, len(part.rows)) for part, count in self.parts)
        return each * len(self.found)

    def metrics(self) -> dict[str, float]:
        """Return what was found, by epoch."""
        return {f"knn-after-{epoch}": value for epoch, value in sorted(self.found.items())}

    def state(self) -> dict[str, Tensor]:
        """Return what was found."""
        rows = [[float(epoch), value] for epoch, value in sorted(self.found.items())]
        return {"found": torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
        self.found = {int(epoch): value for epoch, value in state["found"].tolist()}
