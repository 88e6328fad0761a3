"""What a study of pre-trained tickets found, as numbers with their seeds (protocol §10)."""

from lotterybench.records import Record, Slug
from lotterybench.studies.figures import Figure, Gap
from lotterybench.studies.report import StudyReport

SEEDS = 5  # a ladder is tested from so many seeds on
CLAIM = 8  # and a claim of a match needs so many, of tickets and of dense networks


class Step(Record):
    """A level of a ladder: what its tickets reach, and how far that is from the dense networks.

    `planned` seeds were to be run, `n` ended well, `failed` did not. `gap` has Welch's interval.
    `bound` is the one-sided 95 % lower bound of the gap, by the pooled standard deviation.
    `non_inferior` is None where the level was not tested, `within_sd` the paper's rule.
    """

    level: int
    density: float
    planned: int
    n: int
    failed: int = 0
    mean: float | None = None
    sd: float | None = None
    gap: Gap | None = None
    bound: float | None = None
    non_inferior: bool | None = None
    within_sd: bool | None = None


class Ladder(Record):
    """All levels of one mask source, initialisation and target against dense networks.

    `holds_to` is k*: the last level up to which every one is non-inferior; None if level 0 is not,
    or nothing was tested, which `untested` then explains. `power` is how often one test finds a
    ticket that equals the dense network, with this spread. By the paper's rule `within_to` is the
    last level up to which every one passes, `within_last` the last that passes at all;
    `within_if_equal` is how often a ticket that equals the dense network passes it. `beside` are
    means of other metrics by level.
    """

    init: Slug
    mask: Slug
    target: Slug
    metric: str
    margin: float
    dense_n: int
    dense_mean: float | None = None
    dense_sd: float | None = None
    pooled_sd: float | None = None
    df: int = 0
    steps: list[Step]
    holds_to: int | None = None
    untested: str | None = None
    claim: bool = False
    power: float | None = None
    within_to: int | None = None
    within_last: int | None = None
    within_if_equal: float | None = None
    beside: dict[str, list[float | None]] = {}


class Universal(Record):
    """The least level over all targets that one source of masks holds to; None if one does not."""

    init: Slug
    mask: Slug
    targets: list[Slug]
    holds_to: int | None = None
    within_to: int | None = None


class Pretask(Record):
    """What a network reaches on its own pre-training task after a round at a level.

    Level 0 is the pre-trained network as it is; `accuracy` is of those that have a classifier.
    """

    init: Slug
    level: int
    retrieval: Figure | None = None
    accuracy: Figure | None = None


class Agreement(Record):
    """The overlap of two masks of a level, mean over seeds, with its interval where it has one.

    `jaccard` is against `chance`, `normalised` is 0 at chance and 1 for the same masks, `z` in
    standard deviations of chance. `second` ends in `@before` where it is of the seed before.
    """

    level: int
    first: str
    second: str
    jaccard: float | None = None
    chance: float | None = None
    normalised: Figure | None = None
    z: float | None = None


class Kernels(Record):
    """How many of a mask's kernels, in per cent, have no weight left, mean over seeds."""

    level: int
    mask: str
    zero: Figure


class Sensitivity(Record):
    """What a perturbation of a mask costs in points: ticket less variant, on the same seeds."""

    init: Slug
    target: Slug
    level: int
    variant: str
    density: float
    metric: str
    lost: Figure | None = None


class PretrainedReport(StudyReport):
    """Everything that is known of a study of pre-trained tickets.

    `seeds` and `dense` are those planned. `weights` says whether pre-training was one or of each
    seed: of one, statements are about those weights. `images` were trained on in all.
    """

    base: Slug
    seeds: int
    dense: int
    weights: str
    findings: int
    images: int
    ladders: list[Ladder]
    universal: list[Universal] = []
    pretasks: list[Pretask] = []
    agreements: list[Agreement] = []
    kernels: list[Kernels] = []
    sensitivities: list[Sensitivity] = []
