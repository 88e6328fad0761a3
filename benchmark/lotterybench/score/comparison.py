"""One subset's runs with all that they are judged against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lotterybench.fidelities import Pilot
from lotterybench.items import Items
from lotterybench.records import Subset
from lotterybench.score.pool import Runs, Scored
from lotterybench.trials import Cheaper, Track

SHORT = 3  # epochs below which a control is flagged (protocol §5)


class Beside(NamedTuple):
    """A cheaper arm on full data, and its runs."""

    arm: Cheaper
    runs: Runs


@dataclass(frozen=True)
class Comparison:
    """One subset's runs with all that they are judged against.

    `null` are the runs of random subsets of equal base, kind and size, this one not among them,
    `matched` of those with the class counts of an `uneven` subset; `primary` says that it is of
    the budget that the track's verdicts are about;
    `items` the test items of the runs on full data.
    """

    track: Track
    subset: Subset
    pool: Scored
    full: Runs
    there: Runs
    controls: Sequence[Beside] = ()
    null: Sequence[Runs] = ()
    matched: Sequence[Runs] = ()
    uneven: bool = False
    primary: bool = False
    pilot: Pilot | None = None
    items: Items | None = None
    notes: Sequence[str] = field(default_factory=tuple)
