"""Runs that several processes share, as torchrun starts them: rank 0 leads, the others follow.

Rank 0 plans, evaluates and writes; it tells the others through torch's store which run to train.
A fault that all processes meet is the run's. One that only some meet ends them all, for the others
wait for what will not come.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from lotterybench.errors import BadRequest
from lotterybench.kinds.ranking import Apart, attempted, device_name, train_run
from lotterybench.kinds.runs import Conduct, Done, Run, record

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

    from lotterybench.methods.base.data import Share

GRACE = 10.0  # seconds for the other processes to meet the same fault
FOREVER = timedelta(days=365)  # rank 0 may evaluate for long; if it dies, torchrun ends the others
Order = tuple[Run, str, Conduct]


def ranked() -> bool:
    """Say whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def execute_on_ranks(
    runs: Sequence[Run], device: str, conduct: Conduct | None = None
) -> Iterator[Done]:
    """Do runs one after the other on all of torchrun's processes; called by rank 0 alone.

    Raises `Apart` for a fault that only some processes met.
    """
    company, conduct = Company.of_this_process(), conduct or Conduct()
    device = company.device(device)
    for run in runs:
        number = company.tell((run, device.partition(":")[0], conduct))
        start = time.perf_counter()
        attempt = attempted(run, device, conduct, company.together(number))
        name = f"{company.share.world} × {device_name(device)}"
        seconds = time.perf_counter() - start
        yield Done(record(run, attempt, name), seconds, attempt.curve, attempt.outranked)


def follow() -> None:
    """Train with rank 0 what it says, until it says no more."""
    company = Company.of_this_process()
    while (order := company.listen()) is not None:
        run, kind, conduct = order
        try:
            train_run(run, company.device(kind), conduct, company.together(company.told - 1))
        except Apart:
            raise
        except Exception:  # all processes met it: rank 0 writes it down
            continue


def dismiss() -> None:
    """Let the other processes end; called by rank 0 when nothing is left to do."""
    Company.of_this_process().tell(None)


class Company:
    """This process among those of torchrun; `told` counts rank 0's orders."""

    _here: Company | None = None

    def __init__(self, store: Store, share: Share) -> None:
        self.store, self.share, self.told = store, share, 0

    @classmethod
    def of_this_process(cls) -> Company:
        """Return the company, meeting the others the first time."""
        if cls._here is None:
            import torch

            from lotterybench.methods.base.ranks import meet

            torch.set_num_threads(1)  # as workers do, so that results repeat exactly
            torch.use_deterministic_algorithms(True, warn_only=True)
            cls._here = cls(*meet())
        return cls._here

    def device(self, kind: str) -> str:
        """Return this process's device of a kind; the machine's n-th process has the n-th card."""
        import torch

        place = int(os.environ.get("LOCAL_RANK", "0"))
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        if not kind.startswith("cuda"):
            self._device = torch.device(kind)
            return kind
        if place >= torch.cuda.device_count():
            raise BadRequest(
                f"process {place} has no card of its own, there are {torch.cuda.device_count()}; "
                "start fewer processes a machine"
            )
        torch.cuda.set_device(place)
        self._device = torch.device("cuda", place)
        return str(self._device)

    def tell(self, order: Order | None) -> int:
        """Give the other processes an order, None to end; return its number."""
        self.store.set(f"order/{self.told}", pickle.dumps(order).hex())
        self.told += 1
        return self.told - 1

    def listen(self) -> Order | None:
        """Wait for the next order."""
        self.store.wait([f"order/{self.told}"], FOREVER)
        order: Order | None = pickle.loads(
            bytes.fromhex(self.store.get(f"order/{self.told}").decode())
        )
        self.told += 1
        return order

    def together(self, number: int) -> Callable[[], AbstractContextManager[Share | None]]:
        """Return what surrounds the training of an order."""

        @contextmanager
        def company() -> Iterator[Share | None]:
            from torch.distributed.distributed_c10d import PrefixStore

            from lotterybench.methods.base.ranks import joined

            try:
                with joined(PrefixStore(f"run/{number}", self.store), self.share, self._device):
                    yield self.share
            except Exception as error:
                self._agree(number, error)
                raise

        return company

    def _agree(self, number: int, error: Exception) -> None:
        """Return if all processes met a fault; else raise it, in one line, for all."""
        rank, world = self.share.rank, self.share.world
        line = str(error).partition("\n")[0][:300] or type(error).__name__
        end = f"fault/{number}/end"
        if self.store.check([end]):  # another process gave up, and this one's fault is a sequel
            sys.exit(1)
        self.store.set(f"fault/{number}/{rank}", line)
        deadline = time.monotonic() + GRACE
        everyone = [f"fault/{number}/{other}" for other in range(world)]
        while not self.store.check(everyone):
            if time.monotonic() > deadline:
                self.store.set(end, line)
                raise Apart(f"rank {rank} of {world}: {type(error).__name__}: {line}") from None
            time.sleep(0.05)
