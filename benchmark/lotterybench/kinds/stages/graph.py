"""Carrying out a study's stages: each when what it needs is done, several at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest, BadResults
from lotterybench.kinds.stages.artefact import Done, Made, done_of, folder_of, seal
from lotterybench.kinds.stages.stage import Here, Stage, work
from lotterybench.kinds.workers import Begun, Finished, Queue, carry_out
from lotterybench.studies import Study


@dataclass(frozen=True)
class Terms:
    """On which terms stages are carried out: where, and how often a training is kept."""

    study: Study
    base_digest: str
    root: Path
    device: str = "cpu"
    every: float = 60.0


class Event(NamedTuple):
    """A stage that has begun (done None) or ended."""

    stage: Stage
    done: Done | None


class Ready(Queue[Stage]):
    """Stages in their order, each given out once what it needs is done."""

    def __init__(self, stages: Sequence[Stage], done: set[str]) -> None:
        self.waiting = list(stages)
        self.done = done

    def __len__(self) -> int:
        return len(self.waiting)

    def take(self) -> Stage | None:
        """Return the first stage whose needs are done, or None."""
        for place, stage in enumerate(self.waiting):
            if all(need.key in self.done for need in stage.needs.values()):
                return self.waiting.pop(place)
        return None

    def finished(self, piece: Stage) -> None:
        """Take note that a stage is done."""
        self.done.add(piece.key)


def left_of(stages: Sequence[Stage], root: Path) -> list[Stage]:
    """Return the stages that are not done, in their order.

    One whose need is not whole is done again as well.
    """
    left: dict[str, Stage] = {}
    for stage in stages:
        if any(need.key in left for need in stage.needs.values()) or not done_of(stage, root):
            left[stage.key] = stage
    return list(left.values())


def carry_out_stages(
    stages: Sequence[Stage], terms: Terms, jobs: int | None = None
) -> Iterator[Event]:
    """Do the stages that are not done, `jobs` at a time in processes of one thread; tell of each.

    `stages` are in an order in which needs come first. Closing the iterator ends the processes at
    once. Raises `BadRequest` for a need that is not among them.
    """
    known: set[str] = set()
    for stage in stages:
        strange = [role for role, need in stage.needs.items() if need.key not in known]
        if strange:
            raise BadRequest(f"{stage} needs its {strange[0]} before it; order the stages")
        known.add(stage.key)
    left = left_of(stages, terms.root)
    queue = Ready(left, known - {stage.key for stage in left})
    for told in carry_out(queue, partial(do, terms=terms), jobs):
        if isinstance(told, Begun):
            yield Event(told.piece, None)
        elif isinstance(told, Finished):
            yield Event(told.piece, told.found)


def do(stage: Stage, terms: Terms) -> Done:
    """Carry out one stage; a training that diverges, or a need that did, is its result."""
    from lotterybench.methods.base.loop import Diverged

    start = time.perf_counter()
    needs = {role: folder_of(need, terms.root) for role, need in stage.needs.items()}
    folder = folder_of(stage, terms.root)
    folder.mkdir(parents=True, exist_ok=True)
    here = Here(folder, needs, terms.device, terms.every)
    failed = [role for role, need in stage.needs.items() if _failed(need, terms.root)]
    if failed:
        made = Made(status="invalid", reason=f"its {failed[0]} failed")
    else:
        try:
            made = work[stage.does](stage, here)
        except Diverged as error:
            made = Made(status="invalid", reason=str(error))
    return seal(terms.study, terms.base_digest, stage, here, made, time.perf_counter() - start)


def _failed(need: Stage, root: Path) -> bool:
    done = done_of(need, root)
    if done is None:
        raise BadResults(f"{folder_of(need, root)} is gone while another stage needs it")
    return done.finding.status != "ok"
