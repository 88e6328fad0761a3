"""What is written down of an enumeration: a report per number of classes, and the frontier."""

from typing import Literal

from lotterybench.estimates import Estimate, Frontier, Interval
from lotterybench.records import Record, Sha256, Slug


class Procedure(Record):
    """A selection procedure judged on families and seeds that it has not seen (protocol §6).

    `population` is the τ of a subset taken at random, `gain` what the procedure adds to it;
    `in_sample` the τ of the selected where it was selected; `percentile` the share of all subsets
    that it beats where it was not.
    """

    tau: float
    interval: Interval | None = None
    population: float | None = None
    gain: float | None = None
    gain_interval: Interval | None = None
    in_sample: float | None = None
    percentile: float | None = None


class Spread(Record):
    """A τ over all subsets of a size: its mean, and its 5th and 95th percentiles."""

    mean: float
    low: float
    high: float


class Classes(Record):
    """What training and what testing on fewer classes do, apart (protocol §7, §12).

    `evaluation_only`: networks trained on all classes, tested on the subset's with the other
    logits left out. `disjoint`: the subset's own scores against those of networks trained on all
    classes and tested on the remaining ones; None with one remaining. `predicts` is the
    correlation, over subsets, of the τ of evaluation alone with that of training on the subset.
    A classifier of some classes cannot be tested on all, so that cell does not exist.
    """

    evaluation_only: Spread
    disjoint: Spread | None = None
    predicts: float | None = None


class Best(Record):
    """Is there a subset that is better than the population? Bounds hold for all at once (§8).

    `classes` is the subset with the highest τ-b, `tau`, and `low` its simultaneous 95 % bound.
    `contenders` is the size of the 95 % confidence set for the best; `above_level` counts subsets
    whose bound reaches 0.7, `above_mean` those whose bound exceeds the population mean, `both`
    those that do both: with at least one, a dataset lottery ticket `exists` at this size.
    """

    classes: list[str]
    tau: float
    low: float
    contenders: int
    above_level: int
    above_mean: int
    both: int
    exists: bool


class ExactCount(Record):
    """All class subsets of one size: how well they rank the pool as full data do.

    `tau` is the mean of their τ-b, `lowest`, `low`, `median`, `high` and `highest` its extremes
    and 5th, 50th and 95th percentiles over subsets, `above` the share with τ ≥ 0.7. `control` is
    the τ-b of full data trained for as many steps as a subset of this size, `difference` the mean
    of the subsets' τ less it. `faithful`, `tickets` and `refuted` count verdicts of §8 after Holm
    over the subsets of this size, without a condition on percentiles; the rest is undecided. They
    are None where there is too little for a verdict (§1, §2). `reliability` is the
    split-half correlation of the subsets' τ over disjoint seeds, which is `reliable` from 0.9 on
    and would be with `seeds_needed` by Spearman and Brown's formula,
    `across_families` that over disjoint families; `retest` the share of the best tenth on half of
    the seeds that is in the best tenth on the others. `components` are the variances of scores, in
    squared points. `procedure` is to take the best.
    """

    classes: int
    subsets: int
    configurations: int
    families: int
    seeds_full: int
    seeds: int
    cost: float
    tau: Estimate
    lowest: float
    low: float
    median: float
    high: float
    highest: float
    above: float
    repeat_ceiling: float | None = None
    arm_ceiling: float | None = None
    item_ceiling: float | None = None
    control: Estimate | None = None
    difference: Estimate | None = None
    faithful: int | None = None
    tickets: int | None = None
    refuted: int | None = None
    best: Best | None = None
    q_full: float | None = None
    q: float | None = None
    reliability: float | None = None
    across_families: float | None = None
    reliable: bool = False
    seeds_needed: int | None = None
    retest: float | None = None
    components: dict[str, float] = {}
    procedure: Procedure | None = None
    evaluation: Classes | None = None


class ExactReport(Record):
    """The report of an enumeration: a count per size, in ascending order, and the frontier."""

    schema_version: Literal[1]
    track: Slug
    track_version: int
    track_digest: Sha256
    counts: list[ExactCount]
    frontier: Frontier
