"""What is written down of comparisons: scores, how well a subset ranks, and a track's board."""

from typing import Literal

from lotterybench.enumerations import ExactReport
from lotterybench.estimates import Estimate, Frontier
from lotterybench.estimates import Interval as Interval
from lotterybench.records import Base, Declared, Record, Sha256, Slug, Subset, SubsetId
from lotterybench.standings import Nulls, Ranked, Selectors
from lotterybench.trials import Curve, Result, Timing, Track


class Ratio(Record):
    """τ over the arm ceiling, never clipped, with its family interval."""

    value: float
    interval: Interval | None = None


class Null(Record):
    """The random subsets of equal base, kind and size: how many, their τ, and two p values.

    `p` is the rank p, `p_t` that of the t test of atanh τ, `p_holm` the latter after Holm over the
    track's selected subsets of this size (protocol §5).
    """

    count: int
    low: float | None = None
    mean: float | None = None
    high: float | None = None
    p: float | None = None
    p_t: float | None = None
    p_holm: float | None = None


class Control(Record):
    """The equal-cost control: full data for fewer epochs, at `amount` of full data's cost.

    `difference` is τ_S − τ_C on the same family resamples; `short` says that its training has
    fewer than three epochs (protocol §5).
    """

    arm: str
    amount: float
    tau: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    short: bool = False


class Pairs(Record):
    """Pairs that differ clearly on full data: how many the subset orders alike (protocol §3).

    `gap` is the resolution in full-data points, `resolved` the share of pairs above it.
    """

    agreement: float | None = None
    interval: Interval | None = None
    kept: float | None = None
    ceiling: float | None = None
    gap: float | None = None
    resolved: float = 0.0


class Trend(Record):
    """Steps along hyper-parameter axes: same, opposite, unresolved; points lost (protocol §3)."""

    same: int
    opposite: int
    unresolved: int
    headline: float
    opposite_rate: float
    lost: float
    interval: Interval | None = None


class Regret(Record):
    """Full-data points lost by the subset's winner, and by the full-data winner itself."""

    lost: float
    own: float


class Classes(Record):
    """What models trained on full data say of a class subset, from their test items (protocol §7).

    `evaluation_only` is the τ-b of full scores with the same models' on the subset's test classes,
    scores restricted to these: disjoint halves of the seeds make the two sides, both ways
    averaged. `disjoint` is the τ-b of the subset's own scores with full-trained models' on the
    `remaining` classes alone; None for fewer than two of them.
    """

    evaluation_only: Estimate | None = None
    disjoint: Estimate | None = None
    remaining: int


class Decomposition(Record):
    """τ-b with full scores by what is trained on and then tested on, full or subset (§12).

    `full_full` is the repeat ceiling and `full_subset` the evaluation-only row, both of half the
    seeds a side. The headline is `subset_full`, or `subset_subset` at scope `subset`. None where
    there is no such cell: a classifier of five classes is not tested on ten.
    """

    full_full: float | None = None
    full_subset: float | None = None
    subset_full: float | None = None
    subset_subset: float | None = None


class Fidelity(Record):
    """How well one subset's scores rank the configurations as the full scores do.

    `tau` (Kendall's tau-b) and `rho` (Spearman) are between seed means; None means undefined
    (all scores of one side are tied). `interval` resamples families and needs six of them;
    `sensitivity` (configurations) and `two_level` are never the headline. `ceiling` is the tau-b
    of full data against itself on disjoint halves of its seeds, `arm_ceiling` that of a perfect
    proxy with this arm's noise, `item_ceiling` that of full data against itself on disjoint
    halves of the test images, corrected to as many as the arm has. `q_full` and `q_subset` are the
    sd of a seed over that of methods. `null_matched` are random subsets with the class counts of
    an `uneven` one. `cost_ratio` is images seen on the subset over images seen on full data,
    weighed by the operations that one costs where results have these; `selection_cost` the
    training images that the selection's proxies saw (None: the manifest does not tell),
    `total_ratio` what the subset costs with them, spread over the pool's runs, and `break_even`
    the number of method runs from which selection and subset cost less than full data (None:
    never). `left_out` are configurations that are not scored, with the reason. `why` explains the
    verdict. Without test items, `item_ceiling`, `classes` (of class subsets) and `decomposition`
    are None.
    """

    track: Slug
    track_version: int
    track_digest: Sha256
    subset: SubsetId
    subset_version: int
    subset_digest: Sha256
    scope: Literal["full", "subset"]
    metric: str
    configurations: int
    families: int
    seeds_full: int
    seeds_subset: int
    tau: float | None = None
    rho: float | None = None
    interval: Interval | None = None
    rho_interval: Interval | None = None
    sensitivity: Interval | None = None
    two_level: Interval | None = None
    ceiling: float | None = None
    arm_ceiling: float | None = None
    item_ceiling: float | None = None
    ratio: Ratio | None = None
    null: Null | None = None
    uneven: bool = False
    null_matched: Null | None = None
    control: Control | None = None
    weighted_tau: float | None = None
    top_half_tau: float | None = None
    top_half_ceiling: float | None = None
    top_5: float | None = None
    without_ends: float | None = None
    medians: float | None = None
    without_failures: float | None = None
    pairs: Pairs | None = None
    trend: Trend | None = None
    regret: Regret | None = None
    classes: Classes | None = None
    decomposition: Decomposition | None = None
    sd_full: float | None = None
    q_full: float | None = None
    q_subset: float | None = None
    cost_ratio: float
    selection_cost: int | None = 0
    total_ratio: float | None = None
    break_even: int | None = None
    failures: int = 0
    left_out: dict[str, str] = {}
    verdict: Literal["faithful", "ticket", "refuted", "undecided", "descriptive"]
    why: str


class Pilot(Record):
    """What a few configurations and seeds said before any subset was judged (protocol §2).

    `q_full` and `q_subset` are the sd of a seed over that of methods, on full data and on the
    random subset `subset`; `tau_control` is the τ-b of the control with full data. `power` is how
    often a perfect proxy would be called faithful in the track's own pool and seeds, `ticket` how
    often a ticket, by simulation.
    """

    schema_version: Literal[1]
    track: Slug
    track_digest: Sha256
    configurations: list[str]
    seeds: int
    subset: str
    q_full: float
    q_subset: float
    tau_control: float | None = None
    power: float
    ticket: float


class Score(Record):
    """One configuration on one arm: the seed mean and the scores behind it, in seed order."""

    configuration: Slug
    family: str
    anchor: bool = False
    mean: float | None = None
    scores: list[float] = []
    failures: int = 0


class SubsetScores(Record):
    """One subset of a track: its fidelity (None until every planned run has a status) and scores.

    `missing` counts the planned runs that have no result yet.
    """

    subset: SubsetId
    subset_version: int
    missing: int = 0
    fidelity: Fidelity | None = None
    scores: list[Score] = []


class Board(Record):
    """Everything known of one track: its full-data scores and, per subset, scores and fidelity."""

    track: Track
    track_digest: Sha256
    full: list[Score]
    missing_full: int = 0
    subsets: list[SubsetScores]
    pilot: Pilot | None = None
    ranked: Ranked | None = None
    nulls: list[Nulls] = []
    selectors: Selectors | None = None
    frontier: Frontier | None = None


PUBLISHED: dict[str, type[Record]] = {
    "base": Base, "declared": Declared, "subset": Subset, "track": Track, "result": Result,
    "timing": Timing, "curve": Curve, "fidelity": Fidelity, "pilot": Pilot,
    "exact-report": ExactReport,
    "board": Board,
}  # fmt: skip
