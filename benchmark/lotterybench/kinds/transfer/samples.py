"""Which samples a domain has, and their labels there: told by keyrings, without images."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.manifests import find_base, load_keyring
from lotterybench.methods.base.shape import stream
from lotterybench.records import Base
from lotterybench.studies.transfer import Domain

Rows = NDArray[np.int64]


class Samples(NamedTuple):
    """Positions in a base's split, ascending int64 (n,), and their labels in the domain (n,)."""

    positions: Rows
    labels: Rows


def training_samples(domain: Domain) -> Samples:
    """Return a domain's training samples.

    Raises `BadRequest` where a class has fewer than `each`, and `BadRecord` for a class that the
    base does not have.
    """
    base, _ = find_base(domain.base)
    theirs = load_keyring(domain.base).labels["train"].astype(np.int64)
    chosen = [_of_class(domain, base, theirs, label) for label in _classes(domain, base)]
    positions = np.sort(np.concatenate(chosen))
    labels = _renamed(domain, base, theirs[positions])
    if domain.labels == "shuffled":
        seed = stream(base.digest, f"labels|{domain.name}|{domain.shuffle}")
        labels = np.random.default_rng(seed).permutation(labels)
    return Samples(positions, labels)


def count_of(domain: Domain) -> int:
    """Return how many training samples a domain has."""
    return _count(domain, find_base(domain.base)[0].keyring_digest)


@lru_cache(maxsize=256)
def _count(domain: Domain, keyring_digest: str) -> int:
    return len(training_samples(domain).positions)


def held_out_samples(domain: Domain) -> Samples:
    """Return the test images of a domain's classes with their true labels."""
    base, _ = find_base(domain.base)
    theirs = load_keyring(domain.base).labels["test"].astype(np.int64)
    positions = np.flatnonzero(np.isin(theirs, _classes(domain, base)))
    return Samples(positions, _renamed(domain, base, theirs[positions]))


def classes_in(domain: Domain) -> int:
    """Return the number of labels of a domain."""
    base, _ = find_base(domain.base)
    return 2 if domain.labels == "parity" else len(_classes(domain, base))


def _classes(domain: Domain, base: Base) -> list[int]:
    """Return the base's labels of the domain's classes, in the order of their new labels."""
    return base.class_indices(list(domain.classes or base.class_names))


def _of_class(domain: Domain, base: Base, theirs: Rows, label: int) -> Rows:
    there = np.flatnonzero(theirs == label)
    if domain.part != "all":
        there = there[{"A": 0, "B": 1}[domain.part] :: 2]
    if domain.each is not None and domain.each > len(there):
        raise BadRequest(
            f"{domain.name} takes {domain.each} samples of a class; {base.class_names[label]} has "
            f"{len(there)} in part {domain.part} of {base.id}"
        )
    return there[: domain.each]


def _renamed(domain: Domain, base: Base, theirs: Rows) -> Rows:
    if domain.labels == "parity":
        return theirs % 2
    new = np.full(len(base.class_names), -1)
    classes = _classes(domain, base)
    new[classes] = np.arange(len(classes))
    return new[theirs]
