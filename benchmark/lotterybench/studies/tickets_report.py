"""What a PrAC study found: tickets, sets, savings and overlaps, over replicates."""

from typing import Literal

from lotterybench.records import Record
from lotterybench.studies.figures import Figure, Gap
from lotterybench.studies.report import StudyReport


class TicketRow(Record):
    """Networks trained on all samples: a ticket, a control of it, or one pruned beforehand.

    `accuracy` is on the test split at the best validation epoch, in per cent; gaps are to the
    tickets of `imp` and `imp-stopped` at the same level. `non_inferior` says whether the lower
    bounds of both gaps are above minus the study's margin; it is None where there is no such gap.
    """

    arm: str
    pruned: Literal["in rounds", "at the start"] = "in rounds"
    recipe: str
    level: int
    control: str = ""
    sparsity: float
    accuracy: Figure
    to_imp: Gap | None = None
    to_stopped: Gap | None = None
    non_inferior: bool | None = None


class RoundRow(Record):
    """The rounds of an arm at one level: what they trained on, for how long, what they chose.

    `share` is of the training samples. `settled` is the part of rounds that ended early. `cet`
    and `cep` are the sizes of the parts of the next set, `following`.
    """

    arm: str
    recipe: str
    level: int
    samples: Figure
    share: float
    epochs: Figure
    settled: float
    test: Figure
    following: Figure | None = None
    cet: Figure | None = None
    cep: Figure | None = None


class SavingRow(Record):
    """What an arm spends to find its masks at the study's level.

    `steps` are the optimiser's, the paper's count; `passes` count forward passes of an image,
    three for one of training, with validation and the search for forgotten samples. Savings are
    parts of what `imp` and `imp-stopped` of the same architecture spend. `quoted` says whether the
    ticket is non-inferior, without which a saving is not to be quoted (protocol §10).
    """

    arm: str
    recipe: str
    level: int
    sparsity: float
    steps: Figure
    passes: Figure
    steps_saved: Figure
    steps_saved_of_stopped: Figure | None = None
    passes_saved: Figure
    passes_saved_of_stopped: Figure | None = None
    quoted: bool


class OverlapRow(Record):
    """How far sets agree: between seeds, with another architecture's, with the most forgotten.

    `n` pairs. `chance` is the Jaccard index of independent sets; `normalised` is 0 there and 1 for
    equal sets, `within` the same for independence within each class. A pair shares sets with
    others, hence no interval.
    """

    recipe: str
    level: int
    between: str
    n: int
    jaccard: float
    chance: float
    normalised: float | None = None
    within: float | None = None


class ClaimRow(Record):
    """A published figure, what was found over replicates, and the word of protocol §11."""

    what: str
    level: int
    published: float
    tolerance: float
    source: str
    found: Figure | None = None
    word: str


class TicketsReport(StudyReport):
    """The report of a PrAC study."""

    base: str
    samples: int
    seeds: int
    margin: float
    tickets: list[TicketRow]
    rounds: list[RoundRow]
    savings: list[SavingRow]
    overlaps: list[OverlapRow] = []
    claims: list[ClaimRow] = []
