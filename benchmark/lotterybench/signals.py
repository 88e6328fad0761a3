"""Signals: what recorded proxy trainings say of every sample, in the order of the keyring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest

# One value per sample and epoch, float16 unless they are yes or no. "Clean" is the image as it is,
# after the epoch, in evaluation mode; "online" the augmented image of the batch, in training mode,
# before the update that it causes.
EPOCHS = {
    "p_label": "probability of the label, clean",
    "p_other": "largest probability of another class, clean",
    "margin": "logit of the label minus the largest other logit, clean",
    "entropy": "entropy of the probabilities in nats, clean",
    "error": "L2 norm of probabilities minus one-hot label, clean",
    "change": "KL(p of this epoch, p of the epoch before) in nats, clean; 0 in the first epoch",
    "correct": "the label has the largest logit, clean (yes or no)",
    "online_p": "probability of the label, online",
    "online_correct": "the label has the largest logit, online (yes or no)",
}

# One value or vector per sample, float16 but for counts.
SAMPLES = {
    "embedding": "(N, d) features of the network trained on all samples with the first seed",
    "probabilities": "(N, C) what that same network says",
    "held_out": "(N, C) probabilities of networks that were not trained on the sample",
    "grand": "(N,) norm of the loss gradient in all weights, early in training",
    "deepfool": "(N,) L2 size of the smallest step over a decision boundary found by DeepFool, "
    "of networks that were not trained on the sample",
    "split_embedding": "(N, d) features of one network trained without the validation samples",
    "split_probabilities": "(N, C) what that network says",
    "validation": "(N,) the sample is one of those held out from that network (yes or no)",
    "prac_forgotten": "(N, rounds) int16: how often a PrAC arm's training forgot the sample in "
    "each round; 32,767 if it was never right, −1 if it was not trained on, −1 − t if all that was "
    "written down is that it is at most t times",
    "prac_changed": "(N, rounds) int8: pruning changed the class predicted after the round (1) or "
    "not (0); −1 throughout if the arm compared no predictions",
}

# One array per configuration of a choose pool (`lotterybench.choose_pool`), of networks that were
# not trained on the sample.
METHODS = {
    "right": "(N,) in how many of the S seeds the label is predicted",
    "held_out_seeds": "(N, S, C) probabilities, each seed by itself",
}


class Signals(Protocol):
    """Arrays of signals by name; raises `BadRequest` for one that was not recorded."""

    def epochs(self, name: str) -> Sequence[NDArray[np.generic]]:
        """Return a signal of `EPOCHS` as (E, N), one array per recorded seed."""
        ...

    def samples(self, name: str) -> NDArray[np.generic]:
        """Return a signal of `SAMPLES` as (N,) or (N, d)."""
        ...

    def methods(self, name: str) -> Iterable[NDArray[np.generic]]:
        """Yield a signal of `METHODS` as (N, …), one array per configuration."""
        ...


@dataclass(frozen=True)
class Arrays:
    """Signals that are in memory."""

    by_epoch: Mapping[str, Sequence[NDArray[Any]]] = field(default_factory=dict)
    by_sample: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    by_method: Mapping[str, Sequence[NDArray[Any]]] = field(default_factory=dict)

    def epochs(self, name: str) -> Sequence[NDArray[Any]]:
        """Return a per-epoch signal."""
        if name not in self.by_epoch:
            raise missing(name, self._names())
        return self.by_epoch[name]

    def samples(self, name: str) -> NDArray[Any]:
        """Return a per-sample signal."""
        if name not in self.by_sample:
            raise missing(name, self._names())
        return self.by_sample[name]

    def methods(self, name: str) -> Sequence[NDArray[Any]]:
        """Return a signal of each configuration of a choose pool."""
        if name not in self.by_method:
            raise missing(name, self._names())
        return self.by_method[name]

    def _names(self) -> list[str]:
        return [*self.by_epoch, *self.by_sample, *self.by_method]


def missing(name: str, there: Sequence[str]) -> BadRequest:
    """Return the error for a signal that was not recorded."""
    known = f"there are {', '.join(sorted(there))}" if there else "none were given"
    return BadRequest(f"the signal {name} is needed; {known} (see `lotterybench signals`)")
