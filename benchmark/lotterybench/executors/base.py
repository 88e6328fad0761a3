"""What an executor is given, and what it tells while runs begin and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lotterybench.kinds import Conduct, Done, Run
from lotterybench.registry import Registry

# A guess: trainings of this size do not fill a card, and a fourth of its memory is enough for each.
RUNS_PER_CARD = 4


@dataclass(frozen=True)
class Limits:
    """What a run may take: seconds, and GiB of resident memory; None means no limit."""

    seconds: float | None = None
    memory: float | None = None


NO_LIMITS = Limits()
AS_USUAL = Conduct()


@dataclass(frozen=True)
class Terms:
    """The terms on which runs are carried out.

    `jobs` is how many at a time: on this machine, or (Ray) on one card. `address` is a Ray
    cluster's.
    """

    device: str = "auto"
    jobs: int | None = None
    limits: Limits = NO_LIMITS
    conduct: Conduct = AS_USUAL
    address: str | None = None


class Started(NamedTuple):
    """A run that has been given to a worker."""

    run: Run


class Ended(NamedTuple):
    """A run that has a result, whatever its status."""

    run: Run
    done: Done


Event = Started | Ended

# An executor yields a Started and an Ended for each run, in whatever order runs end.
Executor = Callable[[Sequence[Run], Terms], Iterator[Event]]

executor: Registry[Executor] = Registry("executor")
