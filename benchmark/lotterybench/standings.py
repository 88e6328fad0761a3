"""What is written down of a board beside its fidelities: nulls, selectors, whether it ranks."""

from typing import Literal

from lotterybench.estimates import Interval
from lotterybench.records import Record, SubsetId

Kind = Literal["classes", "samples"]


class Components(Record):
    """Variances of the scores of random subsets of one size, in squared per cent (protocol §9)."""

    method: float
    seed: float
    subset_draw: float
    method_by_subset: float


class Reliability(Record):
    """Split-half correlations of the τ of subsets of one kind and size (protocol §9).

    Over disjoint halves of the seeds and of the families; None where it cannot be told. `subsets`
    counts named and random ones, `components` are of the random ones.
    """

    kind: Kind
    size: int
    subsets: int
    seeds: float | None = None
    families: float | None = None
    components: Components | None = None


class Ranked(Record):
    """Whether a board ranks subsets or noise: split-half correlations of the subsets' τ (§9).

    `seeds` and `families` are of all subsets that are tested on everything, named and random
    alike; `budgets` of each kind and size. `holds` says that both reach 0.7, over all and in
    every budget with two named subsets; otherwise subsets are listed by name, and `why` tells it.
    """

    seeds: float | None = None
    families: float | None = None
    holds: bool = False
    why: str = ""
    budgets: list[Reliability] = []


class Nulls(Record):
    """The random subsets of one kind and size: τ-b with full data, in the order of their numbers.

    They have no fidelity of their own. `tau` holds those whose planned runs are all there, None
    where it is undefined; `missing` counts the other subsets. `matched` names the subset whose
    class counts they have. Protocol §5.
    """

    kind: Kind
    size: int
    matched: SubsetId | None = None
    missing: int = 0
    tau: list[float | None] = []


class SelectorScore(Record):
    """A selector as a procedure: the mean τ-b of its draws of one size (protocol §5).

    `subsets` are its draws on the board. A selector that draws at random needs five: with fewer
    there is no `tau`, and `why` tells it. `p_t` is that of the t test against random subsets,
    `p_holm` after Holm over the selectors of this size that draw at random.
    """

    selector: str
    kind: Kind
    size: int
    random: bool = False
    subsets: list[str]
    tau: float | None = None
    p_t: float | None = None
    p_holm: float | None = None
    why: str = ""


class Difference(Record):
    """Two selectors of one size, or two subsets: the τ of the first less that of the second.

    `interval` and the two-sided `p` resample families; `p_holm` is after Holm over all pairs of
    selectors of this size (protocol §9).
    """

    one: str
    other: str
    difference: float
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None


class Selectors(Record):
    """The selectors of a board, and every two of equal size and scope compared (protocol §9)."""

    scores: list[SelectorScore] = []
    differences: list[Difference] = []
