"""Runs on this machine, in stacks: each worker process trains many small networks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lotterybench.errors import BadRequest
from lotterybench.executors.base import NO_LIMITS, Ended, Event, Executor, Started, Terms
from lotterybench.kinds import Run
from lotterybench.kinds.stacked import stacks_of, train_stack
from lotterybench.kinds.workers import Begun
from lotterybench.kinds.workers import carry_out as work_through
from lotterybench.records import SPLITS
from lotterybench.sources import images


def in_stacks(executor: str, terms: Terms) -> Executor:
    """Return what carries out runs in stacks; raise `BadRequest` for terms that stacks cannot keep.

    `executor` is the name of the one that was asked for. Limits, encoders and shards are of single
    runs, and a stack has no single run.
    """
    conduct = terms.conduct
    refused = {
        "--executor": executor != "local" and executor,
        "--device": terms.device not in ("auto", "cpu") and terms.device,
        "--time-limit or --memory-limit": terms.limits != NO_LIMITS,
        "--save-encoder": conduct.encoders,
        "--precision": conduct.precision not in (None, "fp32") and conduct.precision,
        "--compile": conduct.compiled,
        "--shards": conduct.shards,
        "--method FILE.py:NAME": conduct.own,
    }
    for option, value in refused.items():
        if value:
            given = f" ({value})" if isinstance(value, str) else ""
            raise BadRequest(
                f"{option}{given} goes with single runs; this track's are trained in stacks, on "
                "this machine's processors: leave it away"
            )
    if terms.jobs is not None and terms.jobs < 1:
        raise BadRequest(f"{terms.jobs} worker processes were asked for; take at least 1")
    return carry_out


def carry_out(runs: Sequence[Run], terms: Terms) -> Iterator[Event]:
    """Do runs in stacks, as many stacks at a time as there are workers.

    Results do not depend on how many workers there are, nor on which runs are asked for together.
    Closing the iterator ends the workers at once.
    """
    for split in SPLITS:  # so that workers find the decoded base in the cache
        images(runs[0].track.base, split)
    for event in work_through(stacks_of(runs), train_stack, terms.jobs):
        if isinstance(event, Begun):
            yield from map(Started, event.piece)
        else:
            yield from map(Ended, event.piece, event.found)
