"""Runs on this machine: a pool of worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from lotterybench.executors.base import Ended, Event, Started, Terms
from lotterybench.executors.devices import choose_device, spread
from lotterybench.executors.worker import Worker, wait_for
from lotterybench.kinds import Run
from lotterybench.records import SPLITS
from lotterybench.sources import images


def carry_out(runs: Sequence[Run], terms: Terms) -> Iterator[Event]:
    """Do runs in their order, as many at a time as there are workers.

    Each worker uses one thread, so results do not depend on how many there are. Closing the
    iterator ends the workers at once.
    """
    places = spread(choose_device(terms.device), terms.jobs, len(runs))
    if terms.conduct.shards is None:
        for split in SPLITS:  # so that workers find the decoded base in the cache
            images(runs[0].track.base, split)
    waiting = deque(runs)
    workers: list[Worker] = []
    try:
        workers += (Worker(device, terms.conduct, terms.limits, share) for device, share in places)
        while waiting or not all(worker.idle for worker in workers):
            for worker in workers:
                if waiting and worker.idle:
                    worker.take(waiting.popleft())
                    assert worker.run is not None
                    yield Started(worker.run)
            wait_for(workers)
            for worker in workers:
                run, done = worker.run, worker.look()
                if run is not None and done is not None:
                    yield Ended(run, done)
    finally:
        for worker in workers:
            worker.close()
