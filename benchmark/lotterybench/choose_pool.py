"""The choose pool: recorded sets of several configurations read as one, and what it must keep.

Networks recorded on a base's training split are held out fold by fold, so that what they say of the
held-out samples are results of methods on validation parts of train (protocol §6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.recordings import Recorded, Stored, check_base, find_signals, recorded_sets
from lotterybench.records import Base, Proxy, SelectedWith, canonical_json
from lotterybench.signals import METHODS, missing
from lotterybench.trials import Track


class ChoosePool:
    """The signals of `METHODS`, from one recorded set per configuration.

    `labels` (N,) are those of the training split.
    """

    def __init__(self, sets: Sequence[Stored], labels: NDArray[np.integer[Any]]) -> None:
        self.sets = list(sets)
        self.labels = labels

    def epochs(self, name: str) -> Sequence[NDArray[np.generic]]:
        """Raise `BadRequest`: only signals of `METHODS` are of several configurations."""
        raise missing(name, [*METHODS])

    def samples(self, name: str) -> NDArray[np.generic]:
        """Raise `BadRequest`, as `epochs` does."""
        raise missing(name, [*METHODS])

    def methods(self, name: str) -> Iterator[NDArray[np.generic]]:
        """Yield a signal of `METHODS`, one array per configuration, as each is read."""
        if name not in METHODS:
            raise missing(name, [*METHODS])
        yield from self._right if name == "right" else map(_held_out, self.sets)

    @cached_property
    def _right(self) -> list[NDArray[np.int64]]:
        """The seeds that tell each sample right, (N,) of each: read once, for N C is large."""
        told = (_held_out(one).argmax(2) == self.labels[:, None] for one in self.sets)
        return [right.sum(1) for right in told]

    @property
    def families(self) -> list[str]:
        """The families of all configurations, by backbone and by its group."""
        return sorted({family for one in self.sets for family in one.recorded.proxy.families})

    def shown(self) -> SelectedWith:
        """Return what a manifest that was chosen with this pool says of it."""
        return SelectedWith(
            methods=[_name(one.recorded.proxy) for one in self.sets],
            families=self.families,
            recordings=[one.recorded.digest for one in self.sets],
            images=sum(one.recorded.images(len(self.labels)) for one in self.sets),
            seeds=self.sets[0].recorded.seeds,
            labels=True,
        )

    def check_apart(self, track: Track) -> None:
        """Raise `BadRequest` if a track scores a family of this pool (protocol §6)."""
        shared = sorted({entry.family for entry in track.scored()} & set(self.families))
        if shared:
            raise BadRequest(
                f"{track.name} scores the family {shared[0]}, which the choose pool has; choose "
                f"with configurations of other families: {len(shared)} shared (protocol §6)"
            )


def choose_pool(base: Base, names: Sequence[str], labels: NDArray[np.integer[Any]]) -> ChoosePool:
    """Return the pool of the recorded sets whose digests begin with `names`, by digest.

    Without names it is of all recorded sets of the base that have held-out predictions. Raises
    `BadRequest` for sets of another base, without held-out predictions, of one configuration, or
    of unequal length, resolution, seeds or folds (a pool has one budget, protocol §1).
    """
    folder = [_named(base.id, name) for name in names] or _all(base.id)
    found = sorted(folder, key=lambda one: one.recorded.digest)
    for one in found:
        check_base(one.recorded, base)
        if "held_out" not in one.names():
            raise BadRequest(f"{_label(one)} has no held-out predictions: it reads no labels")
    for one, other in pairwise(found):
        _check_comparable(one.recorded, other.recorded)
    kinds: dict[bytes, Stored] = {}
    for one in found:
        same = kinds.setdefault(canonical_json(one.recorded.proxy.fields()), one)
        if same is not one:
            raise BadRequest(
                f"{_label(same)} and {one.recorded.digest[:16]} are of one configuration; give "
                "the others as --signals"
            )
    return ChoosePool(found, labels)


def _named(base: str, name: str) -> Stored:
    if Path(name).exists():
        raise BadRequest(
            f"{name} is a file or a folder: results of a track are scores on test images. Methods "
            "choose by held-out predictions of training images: give digests of recorded sets "
            "(protocol §6)"
        )
    return find_signals(base, name)


def _all(base: str) -> list[Stored]:
    there = [find_signals(base, one.digest) for one in recorded_sets(base)]
    return [one for one in there if "held_out" in one.names()]


def _check_comparable(one: Recorded, other: Recorded) -> None:
    for what, first, second in (
        ("epochs", one.proxy.epochs, other.proxy.epochs),
        ("resolution", one.proxy.resolution, other.proxy.resolution),
        ("seeds", one.seeds, other.seeds),
        ("folds", one.folds, other.folds),
    ):
        if first != second:
            raise BadRequest(
                f"the choose pool mixes {what} {first} ({one.digest[:16]}) and {second} "
                f"({other.digest[:16]}); give sets of one kind as --signals (protocol §1)"
            )


def _held_out(one: Stored) -> NDArray[np.float16]:
    """Return the held-out probabilities of each seed, (N, S, C)."""
    return np.stack([one.held_out(seed) for seed in one.recorded.seeds], axis=1)


def _label(one: Stored) -> str:
    return f"{one.recorded.digest[:16]} ({one.recorded.proxy.label()})"


def _name(proxy: Proxy) -> str:
    """Return a configuration's name: its method and its settings."""
    config = {**proxy.config, "epochs": proxy.epochs}
    if proxy.resolution:
        config["resolution"] = proxy.resolution
    return " ".join([proxy.method, *(f"{key}={config[key]}" for key in sorted(config))])
