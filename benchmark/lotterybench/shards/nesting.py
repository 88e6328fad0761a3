"""Nested budgets: subsets that contain one another share their training tars, as increments.

A family is a chain of subsets that one selector made in one way at growing budgets. Each adds its
increment to the next smaller one: of a family no sample is written twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lotterybench.records import Subset, sha256_of
from lotterybench.selection import selector
from lotterybench.shards.index import DATA
from lotterybench.shards.samples import Rows

Chosen = tuple[Subset, Rows | None]


def families(chosen: Iterable[Chosen]) -> dict[str, tuple[str, ...]]:
    """Return each nested subset's family up to itself, by name: names, smallest first.

    Subsets nest if their selector declares it, if manifests tell the same settings, seed and
    signals, and if the positions contain each other indeed. All others are left out: class lists,
    whose labels differ, streams, and those that no other contains.
    """
    chains: dict[str, list[list[tuple[str, Rows]]]] = {}
    apart = [(s, p) for s, p in chosen if p is not None and _may_nest(s)]
    for subset, positions in sorted(apart, key=lambda one: (len(one[1]), one[0].name)):
        group = chains.setdefault(sha256_of(_provenance(subset)), [])
        for chain in group:
            if np.isin(chain[-1][1], positions).all():
                chain.append((subset.name, positions))
                break
        else:
            group.append([(subset.name, positions)])
    found: dict[str, tuple[str, ...]] = {}
    for chain in (chain for group in chains.values() for chain in group if len(chain) > 1):
        names = tuple(name for name, _ in chain)
        found |= {name: names[: place + 1] for place, name in enumerate(names)}
    return found


def increments(family: Sequence[str], positions: Mapping[str, Rows]) -> list[Rows]:
    """Return what each subset of a family adds, in the order of its own manifest: int64 (n,) each.

    Raises `ValueError` naming a subset that does not contain the next smaller one.
    """
    found = []
    before = np.empty(0, np.int64)
    for name in family:
        rows = positions[name]
        if not np.isin(before, rows).all():
            raise ValueError(f"{name} does not contain the next smaller subset of its family")
        found.append(rows[~np.isin(rows, before)])
        before = rows
    return found


def folders(smallest: Subset, parts: Sequence[Rows]) -> list[str]:
    """Return the folder of each increment: `data/uniform-1a2b3c4d5e6f/t000001-000120`.

    A family is named by its selector and a digest of how and where it begins, an increment by
    the first and last of its samples in the family, so that no name of a subset stands for a part
    of it, and that a larger subset more moves nothing.
    """
    told = sha256_of([_provenance(smallest), smallest.data_digest()])[:12]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return [
        f"{DATA}/{smallest.selector}-{told}/t{end - len(part) + 1:06d}-{end:06d}"
        for part, end in zip(parts, ends, strict=True)
    ]


def _may_nest(subset: Subset) -> bool:
    """Say whether a subset is of samples and its selector, if it is one of ours, nests."""
    return (
        subset.kind == "samples" and subset.selector in selector and selector[subset.selector].nests
    )


def _provenance(subset: Subset) -> dict[str, Any]:
    """Return how a subset was made, but for its budget and the software's version."""
    fields = subset.fields()
    told = ("base_digest", "selector", "settings", "seed", "selected_with")
    return {name: fields.get(name) for name in told}
