"""What a study of accelerated training found: accuracies, differences, costs, premises."""

from __future__ import annotations

from typing import Literal

from lotterybench.records import Record, Slug
from lotterybench.studies.acceleration import Arm
from lotterybench.studies.figures import Figure
from lotterybench.studies.report import StudyReport

Question = Literal[
    "accelerates at equal steps", "and against full data for as many steps",
    "and against full data at equal cost", "as good as full data", "what the prior knows",
    "which target is whose", "milder views alone", "targets beyond milder views",
    "the second stage", "redrawn samples", "redrawn samples, with targets",
    "more samples, with targets", "a projection that is trained", "a fixed switch",
    "a prior of the same base",
]  # fmt: skip


class ArmRow(Record):
    """An arm of a method at a budget: accuracies in per cent, and what it costs.

    `images` were trained on, each view as one; `passes` are forward passes of an image, three for
    one of training, and `with_prior` adds the pass for targets and the prior's training where it
    is trained here. Both are means over seeds. `shown` is the part of the samples that were shown
    at least once. `switches` are the steps at which the second stage began, null for a training
    that never switched; trainings without targets have none. Differences are in points of the
    linear probe, paired by seed: to the method on full data, without targets on the same samples,
    and without targets on full data for as many epochs as `with_prior` pays for; `holm` is their
    two-sided p by t after Holm, over a method's arms. Of arms on full data `budget` is the study's
    primary one.
    """

    method: Slug
    arm: Arm
    prior: str | None = None
    budget: float
    epochs: int
    lr: float
    linear: Figure
    knn: Figure
    against_full: Figure | None = None
    holm_full: float | None = None
    against_same: Figure | None = None
    holm_same: float | None = None
    against_cost: Figure | None = None
    holm_cost: float | None = None
    images: float
    passes: float
    with_prior: float
    of_full: float | None = None
    shown: Figure
    switches: list[int | None] = []


class Contrast(Record):
    """Linear accuracy of the first arm less the second's, in points paired by seed.

    `p` is two-sided, by t; `holm` is p after Holm over the method's contrasts.
    """

    method: Slug
    question: Question
    first: str
    second: str
    points: Figure
    p: float | None = None
    holm: float | None = None


class CurvePoint(Record):
    """An arm's k-NN accuracy on some test images after so many epochs, and images trained on."""

    method: Slug
    arm: Arm
    prior: str | None = None
    budget: float
    epochs: int
    after: int
    images: float
    knn: Figure


class PriorRow(Record):
    """A prior: what its own frozen features are worth on the study's samples, and its cost.

    `images` were trained on for it; `of_full` is that training, and `targets_of_full` the pass
    that makes the targets, as parts of the first method's training on full data.
    """

    prior: str
    how: Literal["random", "trained", "model"]
    linear: Figure
    knn: Figure
    dimension: int
    images: float
    of_full: float | None = None
    targets_of_full: float | None = None


class MapRow(Record):
    """How well the first prior's representation maps linearly on the second's: R², held out.

    `whitened` is on the second's whitened targets, each dimension counting the same; `shuffled`
    is R² of a map that was fitted to shuffled rows.
    """

    first: str
    second: str
    r2: Figure
    whitened: Figure
    shuffled: Figure


class RateRow(Record):
    """A learning rate that was tried, with k-NN on held-out training images."""

    method: Slug
    lr: float
    knn: float
    chosen: bool


class Range(Record):
    """One-sided 5 % and 95 % bootstrap bounds."""

    low: float
    high: float


class RankGap(Record):
    """An arm's τ-b with full data less another arm's, on the configurations that have both (n).

    `tau` is the other arm's. `equal_cost` says that the other arm, full data for fewer epochs, has
    as many as the first's cost pays for. `families` and `configurations` are bounds by what was
    resampled, as in `RankRow`.
    """

    arm: Arm
    prior: str | None = None
    n: int
    tau: float | None = None
    difference: float | None = None
    equal_cost: bool = False
    families: Range | None = None
    configurations: Range | None = None


class RankRow(Record):
    """How an arm ranks the configurations by linear accuracy, against full data (protocol §3, §4).

    `tau` (Kendall's τ-b) and `rho` (Spearman) are between seed means, of `n` configurations of
    `groups` families, objective × backbone group, outside those that trained the prior; `tau_all`
    is with these. Bounds resample families, on seed means (None below six of them), and, as
    sensitivity only, configurations, or configurations and their seeds. `repeat_full` and
    `repeat_arm` are the τ-b of a side with itself on disjoint halves of its seeds, `arm_ceiling`
    that of a perfect proxy with this arm's noise, `ratio` τ over it where it is at least 0.5.
    `cost` is in forward passes, over full data's: all trainings of the arm and, once, the prior of
    its targets. `failures` are trainings of the arm that failed and rank last. `verdict` and `why`
    are those of protocol §8.
    """

    arm: Arm
    prior: str | None = None
    budget: float
    n: int
    groups: int
    seeds_full: int
    seeds: int
    tau: float | None = None
    rho: float | None = None
    tau_all: float | None = None
    families: Range | None = None
    configurations: Range | None = None
    two_level: Range | None = None
    repeat_full: float | None = None
    repeat_arm: float | None = None
    arm_ceiling: float | None = None
    ratio: float | None = None
    cost: float
    failures: int = 0
    against: list[RankGap] = []
    verdict: Literal["faithful", "ticket", "refuted", "undecided", "descriptive"]
    why: str


class AccelerationReport(StudyReport):
    """The whole report.

    `rankings` has arms of at least four configurations; `unranked` is who is not ranked, and why.
    """

    title: str
    seeds: int
    samples: int
    trainings: int
    images: int
    prior_seeds: Literal["one", "each"]
    contrasts: list[Contrast]
    arms: list[ArmRow]
    priors: list[PriorRow]
    maps: list[MapRow]
    rates: list[RateRow]
    curves: list[CurvePoint]
    rankings: list[RankRow] = []
    unranked: dict[str, str] = {}
