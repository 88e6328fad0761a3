"""What a base's release holds: tars of its frozen subsets, and every frozen manifest."""

import re
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.manifests import find_base, find_manifest, subsets
from lotterybench.records import Subset, parse_ref
from lotterybench.shards.index import ShardIndex
from lotterybench.shards.write import PER_SHARD, Told, write_shards

DRAW = re.compile(r".+-draw[0-9]+")  # how the draws of a null are named


class Contents(NamedTuple):
    """What a release holds, as `base/name@version`: subsets with tars, and all manifests."""

    sharded: list[str]
    manifests: list[str]


def release_of(base: str, *, previews: bool = False, every: bool = False) -> Contents:
    """Return what the release of a base holds.

    Tars are written of each subset's newest version unless that is withdrawn, of version 0 with
    `previews` alone, and of null draws and ticket sets with `every` alone: see `only_listed`.
    Manifests are all of version 1 and above, with `previews` those of version 0, too. Raises
    `BadRequest` if no subset is left to write tars of, `UnknownName` for an unknown base.
    """
    find_base(base)
    known = [ref for ref in subsets(base) if previews or _version(ref) > 0]
    newest = {ref.split("@")[0]: ref for ref in known}  # versions come in ascending order
    read = [(ref, _read(ref)) for ref in newest.values()]
    sharded = [
        ref
        for ref, subset in read
        if subset.withdrawn is None and (every or not only_listed(subset))
    ]
    if not sharded:
        raise BadRequest(
            f"{base} has no subset of version 1 or above that gets tars; give --previews for those "
            "of version 0, --all for null draws and ticket sets, or name subsets"
        )
    return Contents(sharded, known)


def write_release(
    base: str,
    out: Path,
    *,
    previews: bool = False,
    every: bool = False,
    per_shard: int = PER_SHARD,
    prior: str | None = None,
    fidelity: Told | None = None,
    seal: bool = False,
) -> ShardIndex:
    """Write the folder of a base's release: see `release_of` and `write_shards`."""
    held = release_of(base, previews=previews, every=every)
    return write_shards(
        held.sharded, out, per_shard=per_shard, prior=prior, manifests=held.manifests,
        fidelity=fidelity, seal=seal,
    )  # fmt: skip


def only_listed(subset: Subset) -> bool:
    """Say whether a subset is released as a manifest alone.

    Null draws are: a null is read as a whole, dozens of draws of each budget, by programs that
    score it from positions. So are the sets that a study of tickets exports: each belongs to one
    network of one seed. `load_subset` makes a dataset of any of them.
    """
    return DRAW.fullmatch(subset.name) is not None or "study" in subset.settings


def _version(ref: str) -> int:
    version = parse_ref(ref)[1]
    assert version is not None  # as `subsets` gives them
    return version


def _read(ref: str) -> Subset:
    file = find_manifest(ref)
    return Subset.read(file.read_bytes(), str(file))
