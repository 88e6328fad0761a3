"""The null of a track: random subsets beside its own, drawn by a rule (protocol §5)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.build import Columns, build_subset, save_subset
from lotterybench.errors import BadRecord, BadRequest, BadResults
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.paths import manifest_file, null_folder
from lotterybench.ranking.null import uneven
from lotterybench.records import Base, Budget, Subset
from lotterybench.trials import Track

RANDOM = {"samples": "uniform", "classes": "uniform-classes"}  # whose subsets are the null
MATCHED = "uniform-in-classes"  # whose subsets are the second null of uneven ones
MOST_DRAWS = 1_000  # for one more class list: a base of few classes may have no other
Stratum = tuple[str, int]  # a kind and a size
Counts = tuple[int, ...]  # samples of each class
Selected = tuple[Subset, NDArray[np.int64] | None]


class Like(NamedTuple):
    """What random subsets are drawn beside: a kind and size and, if `counts`, class counts, too.

    Matched ones are named after `name` and have its `version`.
    """

    stratum: Stratum
    budget: Budget
    counts: Counts | None
    name: str
    version: int
    number: int


class Draw(NamedTuple):
    """One random subset of a null: what `build_subset` is asked for."""

    base: str
    selector: str
    budget: Budget
    name: str
    seed: int
    version: int
    settings: dict[str, Any]

    def built(self) -> tuple[Subset, Columns | None]:
        """Return its manifest and columns."""
        return build_subset(
            self.base, self.selector, self.budget, name=self.name, seed=self.seed,
            version=self.version, settings=self.settings,
        )  # fmt: skip

    def file(self, folder: Path) -> Path:
        """Return where its manifest lies, below a track's results."""
        return manifest_file(null_folder(folder), f"{self.base}/{self.name}", self.version)

    def made(self, subset: Subset) -> bool:
        """Say whether a manifest claims to be this draw."""
        asked = (f"{self.base}/{self.name}", self.version, self.selector, self.seed)
        return asked == (subset.id, subset.version, subset.selector, subset.seed) and (
            (self.budget, self.settings) == (subset.budget, subset.settings)
        )


def random_subsets(track: Track, folder: Path) -> list[Path]:
    """Write the random subsets that a track plans below `folder/null/`; return their manifests.

    `folder` is the track's results folder. For every kind and size of the track's own subsets
    there are `track.null`, drawn by `uniform` or `uniform-classes` with seeds that are hashes of
    the base, the size and the number; and as many for every own subset of samples with uneven
    classes, with its class counts. What is there is left as it is; raises `BadResults` if it is
    not what would be drawn. Protocol §5.
    """
    return [_kept(draw, folder) for draw in draws(track)]


def random_beside(track: Track, ref: str | Path, folder: Path, number: int) -> list[Path]:
    """Write random subsets beside one that the track does not plan; return their manifests.

    There are `number` of its kind and size, and as many with its class counts if they are uneven,
    or those of the track's plan if it has some like these. The rule is that of `random_subsets`,
    so that all subsets of one size share them. `folder` is the track's results folder.
    """
    base, _ = find_base(track.base)
    subset, positions = load_subset_manifest(ref)
    if subset.base != base.id:
        raise BadRequest(f"{subset.ref} is no subset of {base.id}, the base of {track.name}")
    mine = _like(subset, uneven_counts(subset, positions, base), number)
    return [
        _kept(draw, folder)
        for like, draw in _drawn(track, [*_on_disk(folder), mine])
        if like.stratum == mine.stratum and like.counts in (None, mine.counts)
    ]


def planned(track: Track, folder: Path) -> list[Selected]:
    """Return the random subsets that a track plans; those on disk are read, none is written."""
    found: list[Selected] = []
    for draw in draws(track):
        if draw.file(folder).is_file():
            found.append(load_subset_manifest(draw.file(folder)))
        else:
            subset, columns = draw.built()
            found.append((subset, columns["position"].astype(np.int64) if columns else None))
    return found


def stored(track: Track, folder: Path) -> dict[str, Subset]:
    """Return the random subsets whose manifests lie below a track's results, in the rule's order.

    Raises `BadResults` for one that is not among those that the rule draws, the first ones of
    their kind and size: nobody chooses a null. Protocol §5.
    """
    files = set(null_folder(folder).glob("*/*/v*.json"))
    there = _on_disk(folder)
    rule = {draw.file(folder): draw for _, draw in _drawn(track, there)} if files else {}
    strange = sorted(files - rule.keys())
    found = {}
    for file in (file for file in rule if file in files):
        subset, _ = load_subset_manifest(file)
        found[subset.ref] = subset
        if not rule[file].made(subset):
            strange.append(file)
    if strange:
        raise _strange(strange[0])
    return found


def draws(track: Track) -> Iterator[Draw]:
    """Yield a track's null: those of equal size by kind and size, then those matched on classes.

    Of class lists, none is drawn twice and none is the track's own; where a base has too few, there
    are fewer than planned.
    """
    return (draw for _, draw in _drawn(track, ()))


def _drawn(track: Track, beside: Sequence[Like]) -> Iterator[tuple[Like, Draw]]:
    """Yield what the rule draws for a track's plan, and beside it for sizes that it lacks."""
    if not track.null and not beside:
        return
    base, _ = find_base(track.base)
    own = [load_subset_manifest(ref) for ref in track.subsets]
    sizes: dict[Stratum, Like] = {}
    histograms: dict[Counts, Like] = {}
    if track.null:
        for subset, positions in own:
            like = _like(subset, uneven_counts(subset, positions, base), track.null)
            sizes.setdefault(like.stratum, like)
            if like.counts:
                histograms.setdefault(like.counts, like)
    planned_sizes, planned_counts = {*sizes}, {*histograms}
    for like in beside:
        if like.stratum not in planned_sizes:
            sizes[like.stratum] = _more(sizes.get(like.stratum), like)
        if like.counts and like.counts not in planned_counts:
            histograms[like.counts] = _more(histograms.get(like.counts), like)
    for like in sizes.values():
        plain = like._replace(counts=None)
        yield from ((plain, draw) for draw in _of_size(plain, base, [one for one, _ in own]))
    for counts, like in histograms.items():
        for number in range(like.number):
            seed, name = seed_of(base.digest, *counts, number), f"{like.name}-matched-{number:02}"
            yield like, Draw(
                base.id, MATCHED, like.budget, name, seed, like.version, {"counts": [*counts]}
            )  # fmt: skip


def _more(one: Like | None, other: Like) -> Like:
    """Return the first of two that are alike, with the larger number."""
    return other if one is None else one._replace(number=max(one.number, other.number))


def _of_size(like: Like, base: Base, own: Sequence[Subset]) -> Iterator[Draw]:
    """Yield the random subsets of a kind and size."""
    kind, size = like.stratum
    name = f"{RANDOM[kind].removesuffix('-classes')}-{_size(like.budget)}-null"
    taken = {_classes(subset) for subset in own}
    for number in range(like.number):
        for again in range(MOST_DRAWS):
            seed = seed_of(base.digest, kind, size, number, *[again] * (again > 0))
            draw = Draw(base.id, RANDOM[kind], like.budget, f"{name}-{number:02}", seed, 1, {})
            classes = _classes(draw.built()[0]) if kind == "classes" else None
            if classes is None or classes not in taken:
                taken.add(classes)
                yield draw
                break


def _like(subset: Subset, counts: Counts | None, number: int) -> Like:
    return Like(stratum(subset), subset.budget, counts, subset.name, subset.version, number)


def _on_disk(folder: Path) -> list[Like]:
    """Return what the random subsets below a track's results are like, and how many there are."""
    files = sorted(null_folder(folder).glob("*/*/v*.json"))
    there = [load_subset_manifest(file)[0] for file in files]
    many = Counter((stratum(one), _counts_of(one)) for one in there)
    found: dict[tuple[Stratum, Counts | None], Like] = {}
    for one in there:
        kind = stratum(one), _counts_of(one)
        name = one.name.rpartition("-matched-")[0] if kind[1] else one.name
        found.setdefault(kind, _like(one, kind[1], many[kind])._replace(name=name))
    return [like for like in found.values() if like.counts is None] + [
        like for like in found.values() if like.counts
    ]


def _counts_of(subset: Subset) -> Counts | None:
    """Return the class counts that a random subset was drawn with, None if it was of its size."""
    return tuple(subset.settings["counts"]) if subset.selector == MATCHED else None


def _classes(subset: Subset) -> frozenset[str] | None:
    """Return the classes of a class subset: two with the same ones would be the same runs."""
    return frozenset(subset.classes) if subset.classes is not None else None


def stratum(subset: Subset) -> Stratum:
    """Return what random subsets must share with a subset: its kind and size."""
    size = subset.positions.count if subset.positions else len(subset.classes or [])
    return subset.kind, size


def primary_stratum(track: Track) -> Stratum | None:
    """Return the kind and size that a track's verdicts are about; None if it names none."""
    if track.primary is None:
        return None
    if track.primary.endswith("-classes"):
        return "classes", int(track.primary.removesuffix("-classes"))
    rows = find_base(track.base)[0].splits["train"].rows
    return "samples", round(float(track.primary.removesuffix("pct")) / 100 * rows)


def uneven_counts(subset: Subset, positions: NDArray[np.int64] | None, base: Base) -> Counts | None:
    """Return the class counts of a subset that needs a null matched on them, else None.

    That is one of samples, not drawn uniformly itself, whose counts are `uneven`.
    """
    if positions is None or subset.selector in RANDOM.values():
        return None
    labels = load_keyring(base.id).labels["train"]
    counts, there = (
        np.bincount(some, minlength=len(base.class_names)) for some in (labels[positions], labels)
    )
    return tuple(map(int, counts)) if uneven(counts, there) else None


def seed_of(*what: object) -> int:
    """Return the seed of a random subset: 2³² + uint32(sha256), so that no other subset has it.

    Seeds that people and scripts give are small numbers.
    """
    text = "|".join(map(str, ("null", *what)))
    return 2**32 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _size(budget: Budget) -> str:
    """Return a budget as names write it: `10pct`, `144-samples`, `5-classes`."""
    if budget.classes is not None:
        return f"{budget.classes}-classes"
    if budget.count is not None:
        return f"{budget.count}-samples"
    return f"{100 * (budget.fraction or 0):.10g}pct"


def _kept(draw: Draw, folder: Path) -> Path:
    """Return the manifest of a draw, written if it is not there."""
    try:
        file = save_subset(*draw.built(), null_folder(folder))
        load_subset_manifest(file)
    except BadRecord:
        raise _strange(draw.file(folder)) from None
    return file


def _strange(file: Path) -> BadResults:
    return BadResults(
        f"{file} is no random subset that the track's rule draws; remove it and its results, and "
        "run the track again (protocol §5)"
    )
