"""What an exact track trains: every class subset of a size, in chunks that are written whole."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.records import Base, sha256_of
from lotterybench.trials import Cheaper, Configuration, Track

SMALLEST = 4  # pixels a side that all of the networks take
FOLDS = 3  # a repeat's seeds: each trains on two folds and is tested on the third
MIDDLE_FIRST = (5, 4, 6, 3, 7, 2, 8, 9)  # numbers of classes, in the order of their interest
FIELDS = {"backbone": str, "objective": str, "lr": float, "epochs": int, "batch": int}


class Chunk(NamedTuple):
    """What one worker does in one go: a configuration on all subsets of `size` classes.

    `repeats` are those of the partition into folds, three seeds each. `arm` is how full data are
    trained on more cheaply, if they are.
    """

    size: int
    configuration: Configuration
    repeats: tuple[int, ...]
    arm: Cheaper | None = None

    @property
    def name(self) -> str:
        """A file name that no other chunk of its count has."""
        return f"{self.configuration.name}-{self.repeats[0]}-{self.repeats[-1]}"

    def models(self, classes: int) -> int:
        """Return how many models it trains, of a base with so many classes."""
        return comb(classes, self.size) * FOLDS * len(self.repeats)


def subsets_of(classes: int, count: int) -> list[int]:
    """Return every subset of `count` classes as a number whose bit c says whether c is in it.

    The numbers ascend; all bits of `classes` set is full data.
    """
    return sorted(
        sum(1 << each for each in chosen) for chosen in combinations(range(classes), count)
    )


def classes_in(subset: int) -> list[int]:
    """Return the classes of a subset, ascending: the order of their new labels."""
    return [each for each in range(subset.bit_length()) if subset >> each & 1]


def data_digest(base: Base, subset: int) -> str:
    """Return what the noise of a subset's runs depends on: as of a manifest of these classes."""
    names = [base.class_names[each] for each in classes_in(subset)]
    if len(names) == len(base.class_names):
        return base.digest
    return sha256_of([base.digest, "classes", names])


def counts_of(base: Base, wanted: Sequence[int] | None) -> list[int]:
    """Return the numbers of classes to run: full data, then the middle first, then outwards.

    Full data are always among them, for all is compared with them. Raises `BadRequest` for a
    number that no enumerated subset has.
    """
    classes = len(base.class_names)
    known = [classes, *(count for count in MIDDLE_FIRST if count < classes)]
    strange = sorted(set(wanted or ()) - set(known))
    if strange:
        raise BadRequest(
            f"{', '.join(map(str, strange))} classes were asked for; subsets of {base.id} are "
            f"enumerated with 2 to {classes - 1} classes, and full data has {classes}"
        )
    return [count for count in known if wanted is None or count in (classes, *wanted)]


def repeats_of(track: Track, full: bool, seeds: int | None) -> int:
    """Return how many partitions an arm gets; `seeds` is of subsets and cheaper arms.

    Raises `BadRequest` for a number of seeds that is no multiple of three.
    """
    planned = track.seeds.full if full else (seeds if seeds is not None else track.seeds.subset)
    if planned < FOLDS or planned % FOLDS:
        raise BadRequest(
            f"{planned} seeds were asked for; {track.name} takes a multiple of {FOLDS}, so that "
            "every image is tested equally often"
        )
    return planned // FOLDS


def chunks_of(
    track: Track, base: Base, count: int, repeats: Iterable[int], arm: Cheaper | None = None
) -> list[Chunk]:
    """Return the chunks of some repeats: one each, but all of full data's together.

    A full-data repeat has three models only, too few to stack.
    """
    numbers = tuple(repeats)
    groups = (
        [numbers] * bool(numbers) if count == len(base.class_names) else [(r,) for r in numbers]
    )
    return [Chunk(count, entry, group, arm) for group in groups for entry in track.configurations]


def steps_of(
    entry: Configuration, images: int, classes: int, count: int, arm: Cheaper | None = None
) -> int:
    """Return the optimiser's steps for any subset of `count` of a base's classes.

    They are as many as `epochs` passes over two thirds of `count` classes of mean size take, so
    that all subsets of one count take the same steps whatever their own sizes. A control takes
    its share of full data's, to the step and not to the epoch (protocol §5).
    """
    epochs, batch = entry.config["epochs"], entry.config["batch"]
    assert isinstance(epochs, int) and isinstance(batch, int)
    share = arm.amount if arm is not None and arm.arm == "control" else 1.0
    return max(1, round(share * epochs * images * count * (FOLDS - 1) / (FOLDS * classes * batch)))


def check_pool(track: Track) -> None:
    """Raise `BadRequest` for a configuration that lacks a setting, or has one too many.

    So it does for an arm that small networks on small images do not have.
    """
    for entry in track.configurations:
        kinds = {key: type(value) for key, value in entry.config.items()}
        if entry.method != "stacked" or kinds != FIELDS:
            raise BadRequest(
                f"{entry.name}: a configuration of an exact track is of the method 'stacked' and "
                f"has {', '.join(f'{name} ({kind.__name__})' for name, kind in FIELDS.items())}"
            )
    for arm in track.cheaper:
        if arm.arm == "low-resolution" and arm.amount % SMALLEST:
            raise BadRequest(f"{arm} of {track.name}: take a multiple of {SMALLEST} pixels")
