"""Runs on all of torchrun's processes at once, one run after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lotterybench.errors import BadRequest
from lotterybench.executors.base import NO_LIMITS, Ended, Event, Started, Terms
from lotterybench.kinds import Run
from lotterybench.kinds.ranks import execute_on_ranks, ranked


def carry_out(runs: Sequence[Run], terms: Terms) -> Iterator[Event]:
    """Do runs in this process, which is rank 0, together with the other ranks.

    Raises `BadRequest` without torchrun, and for limits or a number of workers: nobody guards
    these processes.
    """
    if not ranked():
        raise BadRequest("the torchrun executor needs processes that torchrun started")
    if terms.limits != NO_LIMITS or terms.jobs is not None:
        raise BadRequest("under torchrun there are no --time-limit, --memory-limit and --jobs")
    ended = execute_on_ranks(runs, terms.device, terms.conduct)
    for run in runs:
        yield Started(run)
        yield Ended(run, next(ended))
