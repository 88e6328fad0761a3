"""What a ticket study sees of a training: the best epoch, forgetting, and when a mask settles."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lotterybench.kinds.stages.training import HEAD, weights_of
from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.observe import Observer
from lotterybench.pruning.criteria import magnitude
from lotterybench.pruning.keeping import keep, keep_in_each
from lotterybench.pruning.masks import Masks, unpacked_like
from lotterybench.pruning.overlap import distance
from lotterybench.studies import Pruning

LOOK = 512  # images at a time that only go forward
NEVER = 2**15 - 1  # how often a sample that was never right counts as forgotten


@torch.no_grad()
def predictions(encoder: nn.Module, classifier: nn.Module, images: Tensor, rows: Tensor) -> Tensor:
    """Return the classes predicted for `rows` of images uint8 (N, C, H, W), int64 (n,).

    The modules are in evaluation mode; nothing is augmented.
    """
    parts = [
        classifier(encoder(normalise(images[part]))).argmax(1) for part in torch.split(rows, LOOK)
    ]
    return torch.cat(parts) if parts else rows.new_zeros(0)


def accuracy(
    encoder: nn.Module, classifier: nn.Module, images: Tensor, labels: Tensor, rows: Tensor
) -> float:
    """Return the accuracy in per cent on `rows`."""
    found = predictions(encoder, classifier, images, rows)
    return 100 * float((found == labels[rows]).double().mean())


class Best(Observer):
    """Keeps the network of the epoch with the best accuracy on held-out rows, the first of equals.

    `images` counts those that went through the network for it.
    """

    def __init__(self, images: Tensor, labels: Tensor, rows: Tensor) -> None:
        self.data = images, labels, rows
        self.accuracy, self.at, self.images = -1.0, -1, 0
        self.kept: dict[str, Tensor] = {}

    def epoch(self, epoch: int, encoder: nn.Module, classifier: nn.Module | None) -> None:
        """Look at the held-out rows."""
        assert classifier is not None
        found = accuracy(encoder, classifier, *self.data)
        self.images += len(self.data[2])
        if found > self.accuracy:
            self.accuracy, self.at = found, epoch
            self.kept = _copied(encoder, classifier)

    def state(self) -> dict[str, Tensor]:
        """Return the best network so far, and how good it is."""
        numbers = torch.tensor([self.accuracy, self.at, self.images], dtype=torch.float64)
        return {"numbers": numbers, **{f"kept.{name}": v for name, v in self.kept.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
        self.accuracy = float(state["numbers"][0])
        self.at, self.images = int(state["numbers"][1]), int(state["numbers"][2])
        self.kept = {k.removeprefix("kept."): v for k, v in state.items() if k != "numbers"}


class Capture(Observer):
    """Keeps the network as it is after so many epochs of the schedule."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.kept: dict[str, Tensor] = {}

    def epoch(self, epoch: int, encoder: nn.Module, classifier: nn.Module | None) -> None:
        """Copy the network if its time has come."""
        if epoch + 1 == self.after:
            assert classifier is not None
            self.kept = _copied(encoder, classifier)

    def state(self) -> dict[str, Tensor]:
        """Return what was captured."""
        return self.kept

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
        self.kept = state


def _copied(encoder: nn.Module, classifier: nn.Module) -> dict[str, Tensor]:
    parts = (("", encoder), (HEAD, classifier))
    return {
        f"{prefix}{name}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for prefix, module in parts
        for name, value in (*module.named_parameters(), *module.named_buffers())
    }


class Memory(Observer):
    """Counts how often each sample is forgotten, and how wrong the network was on it early on.

    A sample is forgotten when an epoch's batch finds it wrong that the epoch before found right
    (Toneva et al. 2019): before the update, on the augmented image, in training mode. `wrong` sums
    the length of softmax − one-hot (EL2N, Paul et al. 2021) over the first `early` epochs.
    """

    def __init__(self, labels: Tensor, early: int) -> None:
        count, device = len(labels), labels.device
        self.labels, self.early = labels, early
        self.forgotten = torch.zeros(count, dtype=torch.int16, device=device)
        self.right = torch.zeros(count, dtype=torch.bool, device=device)
        self.learned = torch.zeros(count, dtype=torch.bool, device=device)
        self.seen = torch.zeros(count, dtype=torch.bool, device=device)
        self.wrong = torch.zeros(count, dtype=torch.float32, device=device)

    def batch(self, epoch: int, rows: Tensor, outputs: Tensor | None) -> None:
        """See a batch's logits."""
        assert outputs is not None
        labels = self.labels[rows]
        right = outputs.argmax(1) == labels
        self.forgotten[rows] += (self.right[rows] & ~right).to(torch.int16)
        self.right[rows] = right
        self.learned[rows] |= right
        self.seen[rows] = True
        if epoch < self.early:
            off = outputs.float().softmax(1)
            off[torch.arange(len(rows), device=rows.device), labels] -= 1
            self.wrong[rows] += off.norm(dim=1)

    def counts(self) -> Tensor:
        """Return int16 (N,): how often forgotten, `NEVER` if never right, −1 if never seen."""
        counts = torch.where(self.learned, self.forgotten, self.forgotten.new_tensor(NEVER))
        return torch.where(self.seen, counts, counts.new_tensor(-1))

    def state(self) -> dict[str, Tensor]:
        """Return the counts."""
        return {name: getattr(self, name) for name in _COUNTS}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
        for name in _COUNTS:
            getattr(self, name).copy_(state[name])


_COUNTS = ("forgotten", "right", "learned", "seen", "wrong")


class Settling(Observer):
    """Ends a training once the mask that pruning now would give has settled.

    After each epoch the candidate is compared with the epoch's before: the weights that differ,
    over those left. The training ends when the last `patience` distances are below `settled`, of
    those after one that was above it (PrAC's early stopping, as in Early-Bird tickets). `at` is
    the epoch of that, −1 if it never came.
    """

    def __init__(
        self,
        masks: Masks,
        pruning: Pruning,
        level: int,
        settled: float,
        patience: int,
        warm_up: int,
    ) -> None:
        self.masks, self.pruning, self.density = masks, pruning, pruning.density(level + 1)
        self.settled, self.patience, self.warm_up = settled, patience, warm_up
        self.before: Masks | None = None
        self.armed, self.at = False, -1
        self.distances: list[float] = []

    def epoch(self, epoch: int, encoder: nn.Module, classifier: nn.Module | None) -> bool:
        """Compare the mask of now with the last epoch's."""
        choose = keep_in_each if self.pruning.in_each else keep
        scores = magnitude(weights_of(encoder, self.pruning))
        now = choose(scores, self.density, within=self.masks)
        if self.before is not None:
            off = distance(now, self.before) / max(1, self.masks.remaining)
            self.armed |= off > self.settled
            if self.armed and epoch > self.warm_up:
                self.distances.append(off)
        self.before = now
        last = self.distances[-self.patience :]
        if len(last) == self.patience and max(last) < self.settled:
            self.at = epoch
        return self.at >= 0

    def state(self) -> dict[str, Tensor]:
        """Return the last candidate and the distances."""
        numbers = torch.tensor([self.armed, self.at, *self.distances], dtype=torch.float64)
        held = self.before.packed() if self.before else {}
        return {"numbers": numbers, **{f"mask.{name}": bits for name, bits in held.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
        armed, at, *distances = state["numbers"].tolist()
        self.armed, self.at, self.distances = bool(armed), int(at), distances
        bits = {k.removeprefix("mask."): v for k, v in state.items() if k != "numbers"}
        self.before = unpacked_like(self.masks, bits) if bits else None
