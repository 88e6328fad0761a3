"""What a transfer study found: in points, differences paired by seed, with the number of seeds."""

from __future__ import annotations

from typing import Literal

from lotterybench.records import Record
from lotterybench.studies.figures import Figure
from lotterybench.studies.report import StudyReport


class SourceFacts(Record):
    """What a source trained on: samples, labels, epochs and updates of its first round."""

    source: str
    samples: int
    classes: int
    epochs: int
    updates: int
    labels: Literal["class", "parity", "shuffled"] = "class"


class TransferCell(Record):
    """A ticket on a target at one level, against random masks and the native ticket.

    `normalised` is (ticket − random) / (native − random); undefined is None. `native` says that
    this is the native ticket itself.
    """

    source: str
    target: str
    found: str
    by: str
    level: int
    native: bool = False
    accuracy: Figure
    random: Figure | None = None
    against_random: Figure | None = None
    against_native: Figure | None = None
    normalised: float | None = None


class Pooled(Record):
    """A source over `cells`: all targets but its own domain, all levels, both by one optimiser.

    `normalised` is the median of the cells where it is defined, `undefined` counts the others.
    """

    source: str
    cells: int
    against_random: Figure | None = None
    against_native: Figure | None = None
    normalised: float | None = None
    undefined: int = 0


class Area(Record):
    """The mean over log density from the first level to the last, by trapezoids."""

    source: str
    target: str
    found: str
    by: str
    accuracy: Figure
    against_random: Figure | None = None


class Crossing(Record):
    """Tickets found with one optimiser and trained by another, over sources and targets."""

    found: str
    by: str
    cells: int
    accuracy: Figure | None = None
    against_random: Figure | None = None


class Place(Record):
    """A source's mean rank over targets, 1 the best."""

    source: str
    rank: float


class Ranking(Record):
    """Sources ranked on each target by mean accuracy; W is 1 / targets on average by chance."""

    targets: list[str]
    places: list[Place]
    w: float | None = None


class Trend(Record):
    """Spearman's ρ of sources' pooled difference against random masks with a fact of theirs."""

    of: Literal["log samples", "classes"]
    n: int
    values: int
    rho: float | None = None
    caution: str | None = None


class Contrast(Record):
    """Accuracy of one source less another's, over the cells that both have."""

    question: Literal["updates", "samples, equal updates", "samples, equal epochs", "classes",
                      "layer-wise"]  # fmt: skip
    first: str
    second: str
    cells: int
    difference: Figure | None = None


class ControlCell(Record):
    """A control on a target at one level, and the native ticket less it.

    `collapsed` is the mean number of tensors without a weight; `weights` those that may be used.
    """

    control: str
    target: str
    by: str
    level: int
    layerwise: bool = False
    accuracy: Figure
    native_less: Figure | None = None
    collapsed: float
    weights: float


class ControlPooled(Record):
    """Native tickets less a control, over targets, optimisers and levels; pruned globally.

    `collapsed` counts trainings in which a tensor had no weight left, of `trainings`; `relative`
    is the mean ratio of the control's weights to the ticket's.
    """

    control: str
    cells: int
    trainings: int
    collapsed: int
    relative: float | None = None
    native_less: Figure | None = None


class MaskOverlap(Record):
    """Two sources' masks at one level: Jaccard index, and what is above chance (1: identical)."""

    first: str
    first_found: str
    second: str
    second_found: str
    level: int
    jaccard: Figure | None = None
    chance: float | None = None
    normalised: Figure | None = None


class TransferReport(StudyReport):
    """The whole report."""

    title: str
    seeds: int
    trainings: int
    images: int
    sources: list[SourceFacts]
    pooled: list[Pooled]
    trends: list[Trend]
    contrasts: list[Contrast]
    optimisers: list[Crossing]
    ranking: Ranking | None = None
    controls: list[ControlPooled]
    overlaps: list[MaskOverlap]
    areas: list[Area]
    cells: list[TransferCell]
    control_cells: list[ControlCell]
